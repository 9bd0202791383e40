"""The device on which the workers of a cluster compute, which the machine that asks for it need not have."""

from provenance.cluster.connection import COMES_WITHIN_S, Cluster, Share
from provenance.defaults import AUTO
from provenance.errors import JobError
from provenance.models.devices import found_device


def device_of_workers(cluster: Cluster, wanted: str) -> str:
    """A device by name, as a worker finds it; for `auto` a GPU where the cluster has one, or else the CPU.

    Raises:
        InputError: A worker has no such device.
        JobError: No worker with it comes.
    """
    kind = wanted.partition(":")[0]  # which one of several GPUs is Ray's business
    if kind == "cpu" or (kind == AUTO and not cluster.gpus):
        return "cpu"
    ray, share = cluster.ray, Share(1, 1, 1 if kind in (AUTO, "cuda") else 0)
    asked = ray.remote(found_device).options(num_cpus=share.cpus, num_gpus=share.gpus).remote(kind)
    if not ray.wait([asked], timeout=COMES_WITHIN_S)[0]:
        ray.cancel(asked, force=True)
        raise JobError(
            f"a worker with {share}, to see which device it has",
            found=f"none within {COMES_WITHIN_S:.0f} s",
            remedy="wait for other jobs of the cluster to end, add machines, or give --device cpu",
        )
    try:
        return str(ray.get(asked))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
