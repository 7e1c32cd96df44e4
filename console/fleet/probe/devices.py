"""AMD Instinct GPUs by PCI device id (AMD's own tables; the driver names none of them)."""

DEVICE_NAMES = {
    "738c": "MI100",
    "740f": "MI210",
    "7408": "MI250X",
    "740c": "MI250X",
    "74a0": "MI300A",
    "74a1": "MI300X",
    "74a9": "MI300X",
    "74b5": "MI300X",
    "74bd": "MI300X",
    "74a2": "MI308X",
    "74a8": "MI308X",
    "74b6": "MI308X",
    "74bc": "MI308X",
    "74a5": "MI325X",
    "74b9": "MI325X",
    "75a0": "MI350X",
    "75b0": "MI350X",
    "75a3": "MI355X",
    "75b3": "MI355X",
}
"""Model by device id, virtual functions included."""

VIRTUAL_FUNCTIONS = frozenset({"74b5", "74bd", "74b6", "74bc", "74b9", "75b0", "75b3"})
"""Device ids that only a virtual function has."""
