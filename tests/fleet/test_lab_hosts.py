"""The embedded lab's hosts are read like real ones: same links, same probe."""

import asyncio
from pathlib import Path

from console.fleet.inventory import load, select
from console.fleet.links import Links
from console.fleet.probe.survey import survey
from console.lab.up import Lab
from console.model.facts import HostFacts, Known

MODEL = "amd/Llama-3.1-70B-Instruct-FP8-KV"


async def test_every_played_host_is_connected_to_and_read(tmp_path: Path) -> None:
    async with Lab(tmp_path / "lab", hosts=4) as lab:
        fleet = load(lab.fleet_file)
        assert fleet.simulated
        links = Links(fleet)

        async def read(name: str) -> HostFacts:
            host = fleet.host(name)
            return await survey(await links.get(name), host, models=[MODEL], simulated=fleet.simulated)

        for facts in await asyncio.gather(*(read(host.name) for host in select(fleet))):
            assert facts.simulated
            assert isinstance(facts.gpus, Known)
            assert len(facts.gpus.value) == 8
            assert isinstance(facts.driver.kfd_gid, Known)
            assert isinstance(facts.docker, Known)
            assert isinstance(facts.system.nodes_per_socket, Known)
            assert isinstance(facts.models, Known)
            assert facts.models.value[0].complete
        await links.close()
