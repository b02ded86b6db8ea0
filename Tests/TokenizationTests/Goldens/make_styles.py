"""Makes the goldens of other pipelines than Qwen2's: python make_styles.py   (PyPI: tokenizers)

llama3-style.json      Llama 3's regular expression, ignore_merges, every merge that gives a token, <|begin_of_text|> before a text
gpt2-style.json        ByteLevel with its own regular expression, merges as texts, <|endoftext|> in the vocabulary
digits-style.json      NFC, Digits, Qwen2's regular expression, ByteLevel; added tokens with every option
hostile.json           texts of every Unicode category and the ids of each of the four, with special tokens and without

Also the texts of the randomised test: python make_styles.py SEED COUNT prints COUNT texts as JSON.
"""
import json
import pathlib
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = pathlib.Path(__file__).parent
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3, QWEN2 = CONTRACTIONS + r"\p{N}{1,3}" + REST, CONTRACTIONS + r"\p{N}" + REST
CATEGORIES = {}
for code in range(0x110000):
    if not 0xD800 <= code < 0xE000:
        CATEGORIES.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
PIECES = """the |it's|I'LL|don't| we'Re|'\u017f|ß|ﬆ| hello|World|12345|٠١|½|\r\n|\n\n| \n|\t|   |\u3000|\u00a0|...|!?|東京|天气|한국어|
\u1112\u1161\u11ab|\uac00\u11a8|\u1100\u1161|e\u0301|A\u030a|\u0915\u093c|\u0958|\u0344|\u1e9b\u0323|\u212b|\u0f73\u0f71|\U00011935\U00011930|
👩‍👩‍👧‍👦|🏳️‍🌈|🇩🇪|👍🏽|\u200d|\ufeff|\0|\x1c|\x85|\u2028|def f(x):|    return {"k": [1, 2]}|<|endoftext|>|<|begin_of_text|>|<|im_|
<|im_start|>|<|im_end|>|<tool_call>|word|xword|word_| <left>|<right> |\u00c5tok|A\u030atok|aaaa""".replace("\n", "").split("|")


def texts(seed, count):
    rng = random.Random(seed)
    names = list(CATEGORIES)
    marks, letters = CATEGORIES["Mn"], CATEGORIES["Lo"] + CATEGORIES["Ll"] + CATEGORIES["Lu"]
    pieces = PIECES + ["<|endoftext|>", "<|begin_of_text|>", "<|im_start|>"]
    result = []
    for _ in range(count):
        kind, text = rng.random(), ""
        for _ in range(rng.randint(1, 24)):
            if kind < 0.35:
                text += rng.choice(CATEGORIES[rng.choice(names)])
            elif kind < 0.7:
                text += rng.choice(pieces) if rng.random() < 0.7 else rng.choice(CATEGORIES[rng.choice(names)])
            elif kind < 0.85:
                text += rng.choice(marks if rng.random() < 0.6 else letters)
            else:
                text += rng.choice(pieces) * rng.choice([1, 1, 2, 7])
        result.append(text)
    return result


def trained(pre_tokenizer, normalizer, size):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=1, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    corpus = "\n".join(PIECES * 3) + " aaaaaaaa" + " ".join(chr(c) for c in range(0x400, 0x460)) * 2
    tokenizer.train_from_iterator([corpus], trainer)
    return json.loads(tokenizer.to_str())["model"]


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=use_regex)


def assembled(model, pre_tokenizer, normalizer=None, ignore_merges=False, processor=None, added=()):
    tokenizer = Tokenizer(
        models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], ignore_merges=ignore_merges)
    )
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    tokenizer.post_processor = processor or processors.ByteLevel(trim_offsets=False)
    return json.loads(tokenizer.to_str())


def written(name, file):
    (here / f"{name}.json").write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n")


def every_merge(model):
    """All pairs that give a token, in order of the token, as tokenizers converted from tiktoken's files have them."""
    vocab = model["vocab"]
    merges = []
    for text in sorted(vocab, key=vocab.get):
        cuts = [(text[:i], text[i:]) for i in range(1, len(text))]
        merges += sorted((c for c in cuts if c[0] in vocab and c[1] in vocab), key=lambda c: (vocab[c[0]], vocab[c[1]]))
    return merges


def special(text, **options):
    return AddedToken(text, special=True, normalized=False, **options)


def make():
    pipeline = pre_tokenizers.Sequence([split(LLAMA3), byte_level()])
    model = trained(pipeline, None, 700)
    model["merges"] = every_merge(model)
    # Tokens that no merge gives, which only ignore_merges finds.
    for text in ["Ġunmergeable", "xyzzy"]:
        model["vocab"][text] = len(model["vocab"])
    bos = len(model["vocab"])
    template = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", bos)],
    )
    written(
        "llama3-style",
        assembled(
            model, pipeline, ignore_merges=True,
            processor=processors.Sequence([processors.ByteLevel(trim_offsets=False), template]),
            added=[special("<|begin_of_text|>"), special("<|end_of_text|>"), special("<|eot_id|>")],
        ),
    )
    model = trained(byte_level(True), None, 700)
    model["vocab"]["<|endoftext|>"] = len(model["vocab"])
    file = assembled(model, byte_level(True), added=[special("<|endoftext|>")])
    file["model"]["merges"] = [" ".join(m) for m in file["model"]["merges"]]
    written("gpt2-style", file)
    pipeline = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), split(QWEN2), byte_level()])
    added = [
        special("<|endoftext|>"), special("<|im_start|>", lstrip=True, rstrip=True), AddedToken("word", single_word=True, normalized=False),
        AddedToken("<left>", lstrip=True, normalized=True), AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("\u00c5tok", normalized=True), AddedToken("\u212btok2", normalized=False),
        AddedToken(" ", normalized=False, single_word=True), AddedToken("<|im_", normalized=True),
    ]
    model = trained(pipeline, normalizers.NFC(), 600)
    written("digits-style", assembled(model, pipeline, normalizer=normalizers.NFC(), added=added))
    styles = ["qwen2-style", "llama3-style", "gpt2-style", "digits-style"]
    cases = {"texts": texts(7, 220) + [" unmergeable xyzzy", "xyzzy unmergeable", "a \u212btok2 A\u030atok2 b"], "ids": {}}
    for name in styles:
        tokenizer = Tokenizer.from_file(str(here / f"{name}.json"))
        cases["ids"][name] = [
            [tokenizer.encode(t, add_special_tokens=s).ids for s in (True, False)] for t in cases["texts"]
        ]
    text = json.dumps(cases, ensure_ascii=True, separators=(",", ":")).replace("]],[[", "]],\n[[")
    (here / "hostile.json").write_text(text + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(texts(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        make()
