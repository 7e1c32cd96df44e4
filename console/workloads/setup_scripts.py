"""What is done inside an image before a training program starts: constant shell texts, data as arguments only.

Each gives up with exit code 78 and one line `instinct set-up: …` that says which step needs a token or the network.
The host's model cache is asked before the internet. A token comes as a file that huggingface_hub reads by itself
(HF_TOKEN_PATH): nothing here puts it into an environment or on a command line, as the scripts' own downloads do.
"""

from console.workloads.places import MODEL_CACHE_PATH
from console.workloads.training_signatures import SETUP_SAYS

_PRELUDE = f"""
say() {{ printf '{SETUP_SAYS}%s\\n' "$1" >&2; exit 78; }}
cache={MODEL_CACHE_PATH}/hub
""".strip()

_PYTHON = f"""
import os, shutil, sys

def stop(text):
    print("{SETUP_SAYS}" + text, file=sys.stderr, flush=True)
    sys.exit(78)

def told(what, error):
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if status in (401, 403) or "Gated" in kind:
        stop(f"no token that may read {{what}} ({{status or kind}})")
    stop(f"no network: {{what}} is neither in the host's model cache nor to be had ({{kind}})")
""".strip()

_FETCH = f"""
fetch() {{ python3 - "$cache" "$@" <<'PYTHON' || exit 78
{_PYTHON}

cache, repo, revision, folder, *names = sys.argv[1:]
place = lambda name: os.path.join(folder, os.path.basename(name))
if os.path.isdir(folder):
    empty = [name for name in names if not os.path.isfile(place(name)) or not os.path.getsize(place(name))]
    if empty:
        stop(f"tokenizer folder {{folder}} is there without a usable {{os.path.basename(empty[0])}}")
    sys.exit(0)
from huggingface_hub import hf_hub_download

def find(name):
    for known in (revision, "main"):
        try:
            return hf_hub_download(repo, name, revision=known, cache_dir=cache, local_files_only=True)
        except Exception:
            continue
    try:
        return hf_hub_download(repo, name, revision=revision)
    except Exception as error:
        told(f"{{repo}}/{{name}}", error)

found = [(find(name), name) for name in names]
part = folder + ".part"
shutil.rmtree(part, ignore_errors=True)
os.makedirs(part)
for path, name in found:
    shutil.copyfile(path, os.path.join(part, os.path.basename(name)))
os.rename(part, folder)
PYTHON
}}
""".strip()

_PIN = f"""
pin() {{ python3 - "$cache" "$@" <<'PYTHON' || exit 78
{_PYTHON}

cache, repo, revision, folder, *names = sys.argv[1:]
home = "models--" + repo.replace("/", "--")
if os.path.isfile(os.path.join(cache, home, "refs", "main")):
    sys.exit(0)
from huggingface_hub import snapshot_download
try:
    snapshot_download(repo, revision=revision, cache_dir=folder, allow_patterns=names)
except Exception as error:
    told(repo, error)
refs = os.path.join(folder, home, "refs")
os.makedirs(refs, exist_ok=True)
with open(os.path.join(refs, "main"), "w") as file:
    file.write(revision)
PYTHON
}}
""".strip()

_TORCHRUN = """
failed=$(mktemp)
export failed
torchrun() { command torchrun "$@" || { code=$?; echo "$code" >"$failed"; return "$code"; }; }
export -f torchrun
finish() { code=$1; [ ! -s "$failed" ] || code=$(cat "$failed"); exit "$code"; }
""".strip()
"""The example scripts hide the end of torchrun behind `| tee`, and go on to a summary of what there is."""

MEGATRON_LLAMA = "\n".join(
    (
        _PRELUDE,
        _FETCH,
        _TORCHRUN,
        """
script=$1
shift
[ -f "$script" ] || say "the image has no $script"
fetch "$@"
bash "$script"
finish $?
""".strip(),
    )
)
"""Arguments: script, tokenizer repository, revision, folder, files. Environment: the script's own variables."""

MEGATRON_DEEPSEEK = "\n".join(
    (
        _PRELUDE,
        _PIN,
        _TORCHRUN,
        """
script=$1 repo=$2
shift
[ -f "$script" ] || say "the image has no $script"
pin "$@"
[ ! -f "$cache/models--$(printf %s "$repo" | sed s,/,--,)/refs/main" ] || set -- "$1" "$2" "$cache"
HF_HUB_CACHE=$3 HF_HUB_OFFLINE=1
export HF_HUB_CACHE HF_HUB_OFFLINE
bash "$script"
finish $?
""".strip(),
    )
)
"""Arguments: script, model repository, revision, folder for its files, patterns of the files. The script names the
repository's main branch, which is made to mean the pinned revision."""

TRAIN_FSDP = "\n".join(
    (
        _PRELUDE,
        """
checkout=$1 source=$2 commit=$3
shift 3
if [ ! -f "$checkout/train_fsdp.py" ]; then
  git clone --quiet "$source" "$checkout" || say "no network: the image has no $checkout and $source cannot be cloned"
  git -C "$checkout" checkout --quiet "$commit" || say "$source has no commit $commit"
fi
cd "$checkout" || say "the image has no $checkout"
exec "$@"
""".strip(),
    )
)
"""Arguments: checkout folder, repository, commit, then the program."""

TORCHTITAN = "\n".join(
    (
        _PRELUDE,
        _FETCH,
        """
repo=$1 revision=$2 folder=$3 file=$4
shift 4
found= runner=run_llama_train.sh
for place in . torchtitan/models/llama torchtitan/models/llama3; do
  [ -n "$found" ] || [ ! -f "$place/train_configs/llama3_70b.toml" ] || found=$place/train_configs/llama3_70b.toml
done
[ -n "$found" ] || say "the image's torchtitan has no llama3_70b.toml"
[ -f "$runner" ] || runner=run_train.sh
[ -f "$runner" ] || say "the image's torchtitan has no run_llama_train.sh"
pip install --quiet -r requirements.txt || say "no network: pip could not complete requirements.txt"
fetch "$repo" "$revision" "$folder" "$file"
cp "$found" "$CONFIG_FILE"
for setting in "$@"; do
  key=${setting%%=*}
  grep -q "^$key *=" "$CONFIG_FILE" || say "the image's torchtitan has no setting $key in $found"
  sed -i "s|^$key *=.*|$key = ${setting#*=}|" "$CONFIG_FILE"
done
exec bash "$runner"
""".strip(),
    )
)
"""Arguments: tokenizer repository, revision, folder, file, then settings `key=value` for a copy of the image's toml.
Environment: CONFIG_FILE, the copy."""

_ASSETS = f"""
assets() {{ python3 - "$cache" "$@" <<'PYTHON' || exit 78
{_PYTHON}

cache, model, data = sys.argv[1:]
from huggingface_hub import constants, snapshot_download
home = "models--" + model.replace("/", "--")
mine = os.path.join(constants.HF_HUB_CACHE, home)
try:
    snapshot_download(model, cache_dir=cache, local_files_only=True)
    os.makedirs(constants.HF_HUB_CACHE, exist_ok=True)
    if not os.path.lexists(mine):
        os.symlink(os.path.join(cache, home), mine)
except Exception:
    pass
for what, kind in ((model, "model"), (data, "dataset")):
    try:
        snapshot_download(what, repo_type=kind)
    except Exception as error:
        told(what, error)
PYTHON
}}
""".strip()

FLUX = "\n".join(
    (
        _PRELUDE,
        _ASSETS,
        """
model=$1 data=$2
shift 2
pip3 install --quiet -r requirements.txt || say "no network: pip could not complete requirements.txt"
assets "$model" "$data"
follow() {
  known=
  while :; do
    for log in outputs/runs/*/*_logs*.txt; do
      case " $known " in *" $log "*) continue ;; esac
      [ -f "$log" ] || continue
      known="$known $log"
      tail -n +1 -F "$log" 2>/dev/null &
    done
    sleep 1
  done
}
set -m
follow &
follower=$!
set +m
"$@"
code=$?
sleep 3
kill -- "-$follower" 2>/dev/null
exit "$code"
""".strip(),
    )
)
"""Arguments: model and data set, then the launcher. It does what `make download_assets` does, which would hand the
token to a command line. The launcher's runs write to log files of their own, which are shown as they grow."""
