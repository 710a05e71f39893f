"""The dual encoder: vectors, losses and masks against plain loops, whatever the encoders."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from mmkrl.config import check
from mmkrl.data.views.vocabulary import build_vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UsageError, UserError
from mmkrl.losses.captions import SCORES, negatives, triplet_ranking
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.models.captions.text_encoders import WordTable
from mmkrl.train.learner import Batch

TEXTS = ["a dog runs", "the cat", "a ball and a dog", "dog", "a cat and the ball"]
WORDS = WordVectors(
    {"dog": 0, "cat": 1, "ball": 2}, np.arange(12, dtype=np.float32).reshape(3, 4) + 1
)
SMALL = {"dimension": 6, "word_dimension": 5, "hidden": 7, "precision": "float32"}


def make(**fields):
    torch.manual_seed(0)
    config = CaptionConfig(**(SMALL | fields))
    return DualEncoder(8, build_vocabulary(TEXTS), config, words=WORDS)


def batch(rows=5, seed=3):
    """Pairs of which the first and the third have the same image."""
    encoded = build_vocabulary(TEXTS).encode(TEXTS)
    word_BL, length_B = encoded.padded(np.arange(rows))
    feature_BF = torch.randn(rows, 8, generator=torch.Generator().manual_seed(1))
    image_B = torch.tensor([4, 7, 4, 5, 6])[:rows]
    feature_BF[2] = feature_BF[0]
    words = {"word": torch.from_numpy(word_BL), "length": torch.from_numpy(length_B)}
    return Batch(words | {"feature": feature_BF, "image": image_B}, seed=seed, total=rows)


@pytest.mark.parametrize("image", ["linear", "mlp"])
@pytest.mark.parametrize("text", ["gru", "bigru", "mean"])
@pytest.mark.parametrize("measure", ["cosine", "order"])
def test_vectors_and_loss(image, text, measure):
    model = make(image=image, text=text, measure=measure, loss={"margin": 0.3})
    given = batch()
    losses = model("", given)
    image_BD, text_BD = model.encode(given)
    for vector_BD in (image_BD, text_BD):
        torch.testing.assert_close(vector_BD.norm(dim=1), torch.ones(5))
        assert measure == "cosine" or bool((vector_BD >= 0).all())
    score_BB, row_B = SCORES[measure](image_BD, text_BD), torch.arange(5)
    counted_BB = negatives(given.rows["image"], given.rows["image"], row_B, masked=True)
    expected = sum(
        triplet_ranking(score, row_B, counted_BB, margin=0.3) for score in (score_BB, score_BB.T)
    )
    assert losses.keys() == {"ranking"}
    torch.testing.assert_close(losses["ranking"], expected)
    losses["ranking"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("text", ["gru", "bigru", "mean"])
def test_a_caption_s_vector_depends_on_its_words_alone(text):
    model, rows = make(text=text), batch().rows
    vector_BD = model.text_vectors(rows)
    for b, length in enumerate(rows["length"].tolist()):
        own = {"word": rows["word"][b : b + 1, :length], "length": rows["length"][b : b + 1]}
        torch.testing.assert_close(model.text_vectors(own)[0], vector_BD[b])


def test_the_gru_by_its_equations():
    model, rows = make(), batch().rows
    gru = model.text.gru
    b = 2
    state_D = torch.zeros(6)
    for word in rows["word"][b, : rows["length"][b]]:
        input_3D = gru.weight_ih_l0 @ model.text.words.learned.weight[word] + gru.bias_ih_l0
        own_3D = gru.weight_hh_l0 @ state_D + gru.bias_hh_l0
        (reset_i, update_i, new_i), (reset_h, update_h, new_h) = input_3D.chunk(3), own_3D.chunk(3)
        reset_D, update_D = torch.sigmoid(reset_i + reset_h), torch.sigmoid(update_i + update_h)
        new_D = torch.tanh(new_i + reset_D * new_h)
        state_D = (1 - update_D) * new_D + update_D * state_D
    torch.testing.assert_close(
        model.text_vectors(rows)[b], functional.normalize(state_D, dim=0), rtol=1e-4, atol=1e-5
    )


def test_the_mean_of_words_by_a_loop():
    model, rows = make(text="mean"), batch().rows
    for b, length in enumerate(rows["length"].tolist()):
        vectors = [model.text.words.learned.weight[w] for w in rows["word"][b, :length]]
        expected_D = model.text.linear(sum(vectors) / length)
        torch.testing.assert_close(
            model.text_vectors(rows)[b], functional.normalize(expected_D, dim=0)
        )


def test_other_captions_of_the_same_image_are_no_negatives_unless_asked():
    masked, plain = (make(masked=masked)("", batch())["ranking"] for masked in (True, False))
    assert float(plain.detach()) > float(masked.detach())


@pytest.mark.parametrize("mining", ["sum", "semi_hard", "max", "top_k"])
def test_mining_follows_the_phase(mining):
    model = make(loss={"mining": mining, "top_k": 2})
    own = model("", batch())["ranking"].item()
    warmup = dataclasses.replace(batch(), settings={"warmup": True})
    assert (own == model("", warmup)["ranking"].item()) == (mining == "sum")
    assert own == model("", batch())["ranking"].item()


@pytest.mark.parametrize("words", ["random", "tuned", "fixed", "both"])
def test_word_vectors(words):
    vocabulary = build_vocabulary(TEXTS)
    table = WordTable(vocabulary, WORDS, CaptionConfig(words=words, word_dimension=5))
    assert table.dimension == {"random": 5, "tuned": 4, "fixed": 4, "both": 9}[words]
    dog = vocabulary.words.index("dog")
    vector_1LW = table(torch.tensor([[dog, 0]]))
    assert vector_1LW.shape == (1, 2, table.dimension)
    assert not vector_1LW[0, 1].any()
    if words != "random":  # their mean length is 1
        given = torch.from_numpy(WORDS.vector_VW)
        torch.testing.assert_close(vector_1LW[0, 0, -4:], given[0] / given.norm(dim=1).mean())
    learned = sum(parameter.shape[1] for parameter in table.parameters())
    assert learned == {"random": 5, "tuned": 4, "fixed": 0, "both": 5}[words]


def test_features_of_unit_length_or_standardised():
    model, given = make(), batch()
    scaled_BF = given.rows["feature"] * 7
    torch.testing.assert_close(
        model.image_vectors(scaled_BF), model.image_vectors(given.rows["feature"])
    )
    model = make(scale="standard")
    mean_F, deviation_F = torch.arange(8.0), torch.tensor([0.0, *[2.0] * 7])
    model.image.fit_scale(mean_F, deviation_F)
    seen_BF = (given.rows["feature"] - mean_F) / deviation_F.clamp(min=0.05 * 1.75)
    expected_BD = functional.normalize(model.image.linear(seen_BF), dim=1)
    torch.testing.assert_close(model.image_vectors(given.rows["feature"]), expected_BD)


def test_dropout_is_a_function_of_the_seed_and_spares_the_evaluation():
    model = make(dropout=0.5, image="mlp")
    one, again, other = (model("", batch(seed=seed))["ranking"].item() for seed in (3, 3, 4))
    assert one == again != other
    rows = batch().rows
    assert torch.equal(model.text_vectors(rows), model.text_vectors(rows))


def test_given_text_features():
    torch.manual_seed(0)
    model = DualEncoder(8, 3, CaptionConfig(text="features", **SMALL))
    rows = {"text_feature": torch.randn(4, 3), "feature": torch.randn(4, 8)}
    losses = model("", Batch(rows | {"image": torch.arange(4)}, total=4))
    assert float(losses["ranking"]) > 0
    assert model.text_vectors(rows).shape == (4, 6)


def test_half_precision_is_close():
    given = batch()
    both = [make(precision=name).text_vectors(given.rows) for name in ("bfloat16", "float32")]
    assert float((both[0] * both[1]).sum(dim=1).min()) > 0.999
    assert both[0].dtype == torch.float32


def test_weights_of_another_vocabulary_are_refused_in_one_line():
    model = make()
    other = DualEncoder(8, build_vocabulary([*TEXTS[:4], "the cat"]), model.config, words=WORDS)
    with pytest.raises(UserError, match="trained with another vocabulary, that of other captions"):
        other.load_state_dict(model.state_dict())
    make().load_state_dict(model.state_dict())


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"warmup_epochs": 2}, "with loss.mining = 'sum' there is nothing to warm up for"),
        (
            {"warmup_epochs": 2, "loss": "siglip"},
            "with loss = 'siglip' there is nothing to warm up",
        ),
        ({"optimizer": "sgd"}, "optimizer = 'sgd': a GRU learns with 'adam' or 'adamw'"),
    ],
)
def test_what_does_not_fit_together_is_told(fields, fault):
    with pytest.raises(UsageError, match=fault):
        check(fields, CaptionConfig)
