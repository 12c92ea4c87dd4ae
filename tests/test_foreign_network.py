"""A chapter on a network that did not come from the zoo."""
import shutil

import pytest

from conftest import here


def test_ddae_runs_on_a_diffusers_folder_with_one_changed_parameter(project, tmp_path_factory):
    diffusers = pytest.importorskip("diffusers")
    (project.root / "nbs" / "31_representations").mkdir(parents=True)
    shutil.copy(here / "nbs/31_representations/10_ddae.ipynb", project.root / "nbs/31_representations/10_ddae.ipynb")
    unet = diffusers.UNet2DModel(sample_size=12, in_channels=3, out_channels=3, block_out_channels=(16, 32), layers_per_block=1,
                                 norm_num_groups=8, attention_head_dim=8, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                                 up_block_types=("AttnUpBlock2D", "UpBlock2D"))
    folder = tmp_path_factory.mktemp("foreign") / "tiny"
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(clip_sample=False)).save_pretrained(folder)
    done = project.diffrep("run", "10_ddae", "-p", "net", str(folder), IN_TEST="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = (project.root / "_runs/quick/31_representations").glob("10_ddae*.json")
    shown = project.shown(f"31_representations/{path.stem}")
    assert "tiny takes (3, 12, 12), the images are (1, 12, 12)" in shown            # gray digits in the network's size and channels
    assert "digits: best cell " in shown and "SKIPPED: the small trainings" in shown and "SKIPPED: the zoo's snapshots" in shown
