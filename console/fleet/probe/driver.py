"""amdgpu (AMD's package or the kernel's own), DKMS, ROCm in its several layouts, and who holds the GPUs."""

import re
from collections.abc import Mapping

from console.fleet.probe.reading import Table, lines, unread
from console.fleet.script import Section
from console.model.facts import DkmsModule, Driver, GpuProcess, Known, RocmInstall, Unknown
from console.model.text import clean_line

KFD = "/sys/class/kfd/kfd"
MODULE = "/sys/module/amdgpu"
_MODULES = "/sys/module"
_DKMS = "/var/lib/dkms/amdgpu"
_ROCM = "/opt/rocm"

SCRIPT = f"""
# holder PID: what a process that has KFD open is
holder() {{
  value "/proc/$1/comm"
  if [ -r "$ROOT/proc/$1/status" ]; then
    while IFS= read -r line; do
      case $line in Uid:*) printf '=/proc/%s/status %s\\n' "$1" "$line"; break ;; esac
    done < "$ROOT/proc/$1/status"
  fi
  if [ -r "$ROOT/proc/$1/cgroup" ]; then
    while IFS= read -r line; do
      case $line in *docker*|*libpod*|*containerd*) printf '=/proc/%s/cgroup %s\\n' "$1" "$line"; break ;; esac
    done < "$ROOT/proc/$1/cgroup"
  fi
  for file in "$ROOT{KFD}/proc/$1"/vram_*; do if [ -e "$file" ]; then value "${{file#"$ROOT"}}"; fi; done
}} 2>/dev/null
begin driver 'files under {MODULE}'
if [ ! -d "$ROOT{_MODULES}" ]; then printf '!{_MODULES} absent\\n'; fi
there {MODULE}
for name in version srcversion initstate; do value "{MODULE}/$name"; done
value {_ROCM}/.info/version
for file in "$ROOT"{_ROCM}-*/.info/version "$ROOT"{_ROCM}/core-*/.info/version "$ROOT"{_ROCM}-*/core-*/.info/version; do
  if [ -e "$file" ]; then value "${{file#"$ROOT"}}"; fi
done
names "$ROOT"{_ROCM} "$ROOT"{_ROCM}-* "$ROOT"{_ROCM}/core-* "$ROOT"{_ROCM}/extras-*
there {_DKMS}
names "$ROOT"{_DKMS}/kernel-* "$ROOT"{_DKMS}/[0-9]*/source "$ROOT"{_DKMS}/[0-9]*/[0-9]*/*
there {KFD}
there /dev/kfd
if [ -z "$ROOT" ] && [ -e /dev/kfd ]; then
  if [ -r /dev/kfd ] && [ -w /dev/kfd ]; then printf '=access yes\\n'; else printf '=access no\\n'; fi
fi
names "$ROOT{KFD}"/proc/[0-9]*
for path in "$ROOT{KFD}"/proc/[0-9]*; do if [ -e "$path" ]; then holder "${{path##*/}}"; fi; done
end driver 0
if [ -r "$ROOT/@commands/driver.dkms" ]; then output driver.dkms dkms status; fi
output dev.stat stat -c '%g %n' /dev/kfd /dev/dri/renderD*
"""
"""DKMS is read from its own folders: its command is a slow shell script that says the same."""


def parse(found: Mapping[str, Section], gpu_ids: Mapping[int, str]) -> Driver:
    """What the sections say of the driver; `gpu_ids` are KFD's numbers of GPUs and the PCI address of each."""
    section = found.get("driver")
    table = Table(section)
    loaded: Known[bool] | Unknown = unread(section, ("ls", MODULE))
    present = loaded
    if _MODULES in table.missing and MODULE not in table.names:  # no kernel is without; /sys is not there to look at
        loaded = present = Unknown("not there", _MODULES, ("ls", MODULE))
    elif not table.cut:
        loaded = Known(MODULE in table.names, MODULE)
        present = Known(KFD in table.names or "/dev/kfd" in table.names, "/dev/kfd")
    installs = _installs(table)
    dkms = _dkms(table, found)
    processes = _processes(table, present, gpu_ids)
    pids: Known[tuple[int, ...]] | Unknown = (
        processes
        if isinstance(processes, Unknown)
        else Known(tuple(process.pid for process in processes.value), processes.source)
    )
    return Driver(
        amdgpu_loaded=loaded,
        amdgpu_version=_version(table, loaded),
        amdgpu_flavour=_flavour(table, loaded),
        amdgpu_srcversion=_of_module(table, "srcversion", loaded),
        amdgpu_initstate=_of_module(table, "initstate", loaded),
        dkms=dkms,
        dkms_state=_dkms_state(dkms, found),
        rocm_version=_rocm(table, installs),
        rocm_installs=installs,
        kfd_present=present,
        kfd_gid=_gid(groups_of(found)),
        kfd_accessible=_access(table, present),
        kfd_process_ids=pids,
        processes=processes,
    )


def groups_of(found: Mapping[str, Section]) -> dict[str, int]:
    """Numeric group of each device file."""
    groups: dict[str, int] = {}
    for line in lines(found, "dev.stat"):
        match = re.fullmatch(r"(\d{1,10}) (/dev/\S+)", line, re.ASCII)
        if match:
            groups[match.group(2)] = int(match.group(1))
    return groups


def _gid(groups: Mapping[str, int]) -> Known[int] | Unknown:
    if "/dev/kfd" in groups:
        return Known(groups["/dev/kfd"], "stat /dev/kfd")
    return Unknown("its group could not be read", "/dev/kfd", ("stat", "-c", "%g", "/dev/kfd"))


def _access(table: Table, present: Known[bool] | Unknown) -> Known[bool] | Unknown:
    word, show = table.raw("access"), ("ls", "-l", "/dev/kfd")
    if word in ("yes", "no"):
        return Known(word == "yes", "/dev/kfd")
    if isinstance(present, Known) and not present.value:
        return Unknown("no KFD on this host", "/dev/kfd", show)
    return Unknown("not to be told from files alone", "/dev/kfd", show)


def _not_loaded(path: str) -> Unknown:
    return Unknown("amdgpu is not loaded", path, ("sudo", "modprobe", "amdgpu"))


def _of_module(table: Table, name: str, loaded: Known[bool] | Unknown) -> Known[str] | Unknown:
    if isinstance(loaded, Known) and not loaded.value:
        return _not_loaded(f"{MODULE}/{name}")
    return table.text(f"{MODULE}/{name}")


def _version(table: Table, loaded: Known[bool] | Unknown) -> Known[str] | Unknown:
    """Only the driver of AMD's packages has a version of its own; the kernel's is versioned by the kernel release."""
    path = f"{MODULE}/version"
    if path in table.values:
        return table.text(path)
    if isinstance(loaded, Unknown):
        return loaded
    if not loaded.value:
        return _not_loaded(path)
    if table.missing.get(path) == "absent":
        why = "the kernel's own amdgpu has no version file; the kernel release stands for it"
        return Unknown(why, path, ("modinfo", "-F", "version", "amdgpu"))
    return table.text(path)


def _flavour(table: Table, loaded: Known[bool] | Unknown) -> Known[str] | Unknown:
    path = f"{MODULE}/version"
    if isinstance(loaded, Unknown):
        return loaded
    if not loaded.value:
        return _not_loaded(path)
    if path in table.values:
        return Known("package", path)
    if table.missing.get(path) == "absent":
        return Known("kernel", f"no {path}")
    return Unknown("its version could not be read", path, ("modinfo", "amdgpu"))


def _installs(table: Table) -> Known[tuple[RocmInstall, ...]] | Unknown:
    if table.cut:
        return Unknown("the answer was cut off", "/opt", ("ls", "/opt"))
    folders = sorted({name for name in table.names if name.startswith(_ROCM)})
    found = [RocmInstall(folder, table.raw(f"{folder}/.info/version") or "") for folder in folders]
    return Known(tuple(clean_install(install) for install in found), "/opt/rocm*")


def clean_install(install: RocmInstall) -> RocmInstall:
    """The same with a path that may be shown."""
    return RocmInstall(clean_line(install.path), install.version)


def _rocm(table: Table, installs: Known[tuple[RocmInstall, ...]] | Unknown) -> Known[str] | Unknown:
    """What /opt/rocm says of itself, else the newest install that has a version."""
    path = f"{_ROCM}/.info/version"
    if path in table.values or isinstance(installs, Unknown):
        return table.text(path)
    versions = [install for install in installs.value if install.version]
    if versions:
        newest = max(versions, key=lambda install: [int(word) for word in re.findall(r"\d{1,6}", install.version)])
        return Known(newest.version, f"{newest.path}/.info/version")
    if installs.value:
        return Unknown("ROCm is there without a version file", installs.value[0].path, ("ls", "-a", _ROCM))
    if table.missing.get(path) == "absent":
        return Unknown("no ROCm on the host; benchmarks bring theirs in the container", path, ("ls", "/opt"))
    return table.text(path)


def _dkms(table: Table, found: Mapping[str, Section]) -> Known[tuple[DkmsModule, ...]] | Unknown:
    show = ("dkms", "status")
    section = found.get("driver.dkms")
    if section is not None and section.ok:
        told = (dkms_line(line) for line in lines(found, "driver.dkms"))
        return Known(tuple(module for module in told if module is not None), "dkms status")
    if table.cut:
        return Unknown("the answer was cut off", _DKMS, show)
    if table.missing.get(_DKMS) == "absent":
        return Known((), f"no {_DKMS}")
    states: dict[tuple[str, str, str], str] = {}
    linked: set[tuple[str, str]] = set()
    for name in table.names:
        words = clean_line(name).removeprefix(f"{_DKMS}/").split("/")
        if not name.startswith(f"{_DKMS}/"):
            continue
        if len(words) == 1 and (match := re.fullmatch(r"kernel-(.+)-([^-]+)", words[0])):
            linked.add((match.group(1), match.group(2)))
        elif len(words) == 2 and words[1] == "source":
            states.setdefault((words[0], "", ""), "added")
        elif len(words) == 3:
            states[(words[0], words[1], words[2])] = "built"
    modules = [
        DkmsModule(
            module="amdgpu",
            version=version,
            kernel=kernel,
            arch=arch,
            state="installed" if (kernel, arch) in linked else state,
        )
        for (version, kernel, arch), state in sorted(states.items())
        if kernel or not any(other == version and built for other, built, _ in states)
    ]
    return Known(tuple(modules), _DKMS)


def dkms_line(line: str) -> DkmsModule | None:
    """One line of `dkms status`, `amdgpu/6.14.14-2204008.24.04, 6.14.0-29-generic, x86_64: installed`; older: `, `."""
    match = re.fullmatch(r"([\w.+-]+)(?:/|, )([^,:\s]+)(?:, ([^,:\s]+), ([^,:\s]+))?: (\w+).*", line.strip())
    if match is None:
        return None
    module, version, kernel, arch, state = (text or "" for text in match.groups())
    return DkmsModule(module=module, version=version, kernel=kernel, arch=arch, state=state)


def _dkms_state(dkms: Known[tuple[DkmsModule, ...]] | Unknown, found: Mapping[str, Section]) -> Known[str] | Unknown:
    if isinstance(dkms, Unknown):
        return dkms
    kernel = Table(found.get("host")).text("/proc/sys/kernel/osrelease")
    if isinstance(kernel, Unknown):
        return kernel
    mine = [module for module in dkms.value if module.module == "amdgpu"]
    states = [module.state for module in mine if module.kernel == kernel.value]
    if "installed" in states:
        return Known("installed", dkms.source)
    return Known(states[0] if states else "added" if mine else "absent", dkms.source)


def _processes(
    table: Table, present: Known[bool] | Unknown, gpu_ids: Mapping[int, str]
) -> Known[tuple[GpuProcess, ...]] | Unknown:
    folder = f"{KFD}/proc"
    if isinstance(present, Unknown):
        return present
    if not present.value:
        return Unknown("no KFD on this host", folder, ("ls", folder))
    pids = {name.rsplit("/", 1)[-1] for name in table.names if name.startswith(f"{folder}/")}
    found = [_process(table, pid, gpu_ids) for pid in pids if re.fullmatch(r"\d{1,9}", pid, re.ASCII)]
    return Known(tuple(sorted(found, key=lambda process: process.pid)), folder)


def _process(table: Table, pid: str, gpu_ids: Mapping[int, str]) -> GpuProcess:
    container = re.search(r"[0-9a-f]{64}", table.raw(f"/proc/{pid}/cgroup") or "")
    uid = re.fullmatch(r"Uid: (\d{1,10})\b.*", table.raw(f"/proc/{pid}/status") or "", re.ASCII)
    used: list[int] = []
    gpus: list[str] = []
    for path in table.values:
        match = re.fullmatch(rf"{KFD}/proc/{pid}/vram_(\d{{1,10}})", path, re.ASCII)
        size = table.integer(path) if match else None
        if match and isinstance(size, Known):
            used.append(size.value)
            if size.value and int(match.group(1)) in gpu_ids:
                gpus.append(gpu_ids[int(match.group(1))])
    return GpuProcess(
        pid=int(pid),
        name=table.raw(f"/proc/{pid}/comm") or "",
        user="" if uid is None else "root" if uid.group(1) == "0" else f"uid {uid.group(1)}",
        container=container.group(0)[:12] if container else "",
        vram_bytes=sum(used) if used else None,
        gpus=tuple(sorted(gpus)),
    )
