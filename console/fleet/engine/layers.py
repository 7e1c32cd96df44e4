"""What a pull reports, layer by layer, as one progress. Pure."""

import msgspec


class PullProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes downloaded of all layers; the total is None until every layer's size is known. `status` is for people."""

    done_bytes: int
    total_bytes: int | None
    status: str


class _Detail(msgspec.Struct):
    current: int = 0
    total: int = 0


class _ErrorDetail(msgspec.Struct):
    message: str = ""


class PullMessage(msgspec.Struct, rename="camel"):
    """One JSON message of a pull, as the engine writes it."""

    status: str = ""
    id: str = ""
    progress_detail: _Detail | None = None
    error: str = ""
    error_detail: _ErrorDetail | None = None

    @property
    def failure(self) -> str:
        """The error inside the stream, "" when there is none."""
        return self.error or (self.error_detail.message if self.error_detail else "")


class _Layer:
    def __init__(self) -> None:
        self.status = ""
        self.done = 0
        self.total = 0


_FETCHED = frozenset({"Verifying Checksum", "Download complete", "Extracting", "Pull complete"})
_READY = frozenset({"Pull complete", "Already exists"})
_STAGES = frozenset({"Pulling fs layer", "Waiting", "Downloading", "Retrying"}) | _FETCHED | _READY


class Layers:
    """Folds the messages of one pull."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self._word = "asking the registry"

    def see(self, message: PullMessage) -> None:
        """Take one message in."""
        stage = message.status
        known = stage in _STAGES or stage.startswith("Retrying in")
        if not message.id or not known:
            self._word = stage or self._word
            return
        layer = self._layers.setdefault(message.id, _Layer())
        layer.status = stage
        detail = message.progress_detail
        if stage == "Downloading" and detail is not None:
            # a layer that is fetched again after a break starts from what is left of it
            layer.done = detail.current
            layer.total = max(layer.total, detail.total)
        elif stage in _FETCHED:
            if detail is not None and detail.total > layer.total:
                layer.total = detail.total
            layer.done = layer.total

    @property
    def progress(self) -> PullProgress:
        """Where the pull is."""
        layers = self._layers.values()
        unknown = any(layer.total == 0 and layer.status not in _READY | _FETCHED for layer in layers)
        return PullProgress(
            done_bytes=sum(layer.done for layer in layers),
            total_bytes=None if unknown or not layers else sum(layer.total for layer in layers),
            status=self._status(),
        )

    def _status(self) -> str:
        if not self._layers:
            return self._word
        count = len(self._layers)
        ready = sum(layer.status in _READY for layer in self._layers.values())
        fetched = sum(layer.status in _FETCHED | _READY for layer in self._layers.values())
        if ready == count:
            return f"{count} layers in place"
        if fetched == count:
            return f"extracting, {ready} of {count} layers in place"
        if any(layer.status.startswith("Retrying") for layer in self._layers.values()):
            return f"downloading again after a break, {fetched} of {count} layers fetched"
        return f"downloading, {fetched} of {count} layers fetched"
