"""Chapters on networks that did not come from the zoo: tiny ones with random weights, in diffusers' format."""
import json
import shutil

import pytest

from conftest import here


def words_reader(folder):
    """(text encoder, tokenizer of letters), tiny."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = CLIPTextConfig(vocab_size=len(words), hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                            max_position_embeddings=20, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1)
    return CLIPTextModel(config), CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=20)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """{name: a pipeline's folder}: DDPM's, the same told classes without a null, DiT's and Stable Diffusion's."""
    diffusers = pytest.importorskip("diffusers")
    import torch
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("foreign")
    unet = dict(block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, attention_head_dim=8)
    for name, classes in (("ddpm", None), ("classes", 5)):
        ddpm = diffusers.UNet2DModel(sample_size=12, in_channels=3, out_channels=3, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                                     up_block_types=("AttnUpBlock2D", "UpBlock2D"), num_class_embeds=classes, **unet)
        diffusers.DDPMPipeline(ddpm, diffusers.DDPMScheduler(clip_sample=False)).save_pretrained(root / name)

    def vae():
        return diffusers.AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 32), norm_num_groups=8, sample_size=16,
                                       down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    dit = diffusers.DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=3, sample_size=8, patch_size=2,
                                          num_embeds_ada_norm=1000, norm_eps=1e-6)
    diffusers.DiTPipeline(dit, vae(), diffusers.DDIMScheduler(clip_sample=False)).save_pretrained(root / "dit")
    text = diffusers.UNet2DConditionModel(sample_size=8, in_channels=4, out_channels=4, cross_attention_dim=24, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                                          up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **unet)
    encoder, tokenizer = words_reader(root)
    scheduler = diffusers.PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    diffusers.StableDiffusionPipeline(vae=vae(), text_encoder=encoder, tokenizer=tokenizer, unet=text, scheduler=scheduler, safety_checker=None,
                                      feature_extractor=None, image_encoder=None, requires_safety_checker=False).save_pretrained(root / "sd")
    return {name: root / name for name in ("ddpm", "classes", "dit", "sd")}


def shown_by(project, chapter, net):
    """What a chapter prints on a network, run as a user would run it."""
    place = next((here / "nbs").glob(f"*/{chapter}.ipynb"))
    target = project.root / place.relative_to(here)
    target.parent.mkdir(parents=True)
    shutil.copy(place, target)
    (project.root / "data").mkdir()
    (project.root / "data" / "zoo").symlink_to(here / "data" / "zoo")
    done = project.diffrep("run", chapter, "-p", "net", str(net), IN_TEST="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = (project.root / "_runs/quick" / target.parent.name).glob(f"{chapter}*.json")
    outputs = [o for c in json.loads(path.with_suffix(".ipynb").read_text())["cells"] for o in c.get("outputs", [])]
    return "\n".join("".join(o.get("text") or o.get("data", {}).get("text/plain", "")) for o in outputs)


@pytest.mark.parametrize("name", ["ddpm", "classes"])
def test_ddae_runs_on_a_diffusers_folder_with_one_changed_parameter(project, folders, name):
    shown = shown_by(project, "10_ddae", folders[name])
    assert f"{name} takes (3, 12, 12), the images are (1, 12, 12)" in shown         # gray digits in the network's size and channels
    assert "digits: best cell " in shown and "SKIPPED: the small trainings" in shown and "SKIPPED: the zoo's snapshots" in shown


@pytest.mark.parametrize("chapter, name, said", [
    ("08_pretrained", "classes", ["UNet2DModel for (3, 12, 12)", "best cell "]),
    ("01_wrappers", "sd", ["told tokens", "cfg, scale 3", "latents, eps on"]),
    ("02_conditioning", "sd", ["told another", "noise to signal 0.2"]),
    ("03_classifier", "ddpm", ["guides trained for 10 steps", "scale 10"]),
    ("04_classifier_free", "dit", ["told label", "7.5, in (0.3, 5]"]),
    ("04_classifier_free", "ddpm", ["is told nothing: guided away from itself with dropout"]),
    ("05_critics", "dit", ["critic through the codec", "backward"]),
    ("06_attention", "dit", ["maps: block.1.attn.map", "stay bright"]),
    ("01_features", "sd", ["kept: the cosine"]),
    ("02_probes", "dit", ["linear, shuffled labels", "block.1.out"]),
])
def test_a_chapter_runs_on_a_diffusers_folder_with_one_changed_parameter(project, folders, chapter, name, said):
    shown = shown_by(project, chapter, folders[name])
    assert f"{name}: " in shown and not [words for words in said if words not in shown], shown[-3000:]
