"""The program that brings a model into a host's cache; runs inside the benchmark image, which has huggingface_hub.

It resumes what an earlier try left, checks every file's size against the revision, and says how far it is on lines
that start with a marker. The token comes through HF_TOKEN_PATH; nothing of it is printed.
"""

PROGRESS = "@@instinct fetch "
DONE = "@@instinct fetched "

SOURCE = """
import fnmatch, json, os, sys, threading
from huggingface_hub import HfApi, snapshot_download

model, revision = sys.argv[1], sys.argv[2]
skip = ["original/*", "*.pth", "*.gguf", "*.bin.index.json.bak"]
info = HfApi().model_info(model, revision=revision, files_metadata=True)
want = {f.rfilename: f.size for f in info.siblings if not any(fnmatch.fnmatch(f.rfilename, p) for p in skip)}
total = sum(size or 0 for size in want.values())
blobs = os.path.join(os.environ["HF_HUB_CACHE"], "models--" + model.replace("/", "--"), "blobs")

def present():
    try:
        return sum(entry.stat().st_size for entry in os.scandir(blobs))
    except OSError:
        return 0

def tell():
    print("@@instinct fetch " + json.dumps({"done": present(), "total": total}), flush=True)

over = threading.Event()

def watch():
    while not over.wait(2):
        tell()

threading.Thread(target=watch, daemon=True).start()
folder = snapshot_download(model, revision=revision, ignore_patterns=skip)
over.set()
tell()
short = []
for name, size in want.items():
    path = os.path.join(folder, name)
    if not os.path.exists(path) or (size is not None and os.path.getsize(path) != size):
        short.append(name)
if short:
    print("files do not match the revision: " + ", ".join(short[:5]), flush=True)
    sys.exit(3)
print("@@instinct fetched " + json.dumps({"revision": info.sha, "files": len(want), "bytes": total}), flush=True)
"""
