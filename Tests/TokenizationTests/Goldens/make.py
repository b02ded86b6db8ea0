"""Makes the goldens beside it: python make.py   (PyPI: tokenizers)

qwen2-style.json       a small byte-level BPE with Qwen2.5's pipeline: NFC, its regular expression, ByteLevel, added tokens
cases.json             texts with the words and the ids that Hugging Face's tokenizers gives
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = pathlib.Path(__file__).parent
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

corpus = """Play some 1959 songs on Iheart, please! What's the weather like in Reykjavík tomorrow at 7:30 p.m.?
Add "Señor Coconut" to my playlist; we'll listen to it when they're here -- I'd say they've earned it.
Réservez une table pour 4 personnes à l'Hôtel Müller, près de la Straße des 17. Juni. Ça va être génial !
Забронируй столик на двоих в ресторане «Пушкин» на 19:00. 明天北京的天气怎么样？东京タワーへの道を教えてください。
def f(x):\n    return {"name": x, "arguments": {"k": [1, 2, 3]}}\n\n\nprint(f("a"))\n\t// tabs\tand  double  spaces   here
देहली में मौसम कैसा है? مرحبا بالعالم، كيف حالك؟ 한국어 문장도 있습니다. Ñandú, Ærøskøbing, Łódź, İstanbul, Ǆ, ŉ.
The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX. It'S, DON'T, you'Re, ("we")... {"}},"],[:,]}\n"""

tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
tokenizer.normalizer = normalizers.NFC()
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ]
)
tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
tokenizer.train_from_iterator(
    corpus.split("\n") + [corpus],
    trainers.BpeTrainer(
        vocab_size=900, min_frequency=1, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    ),
)
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
# Merges as texts, as Qwen2.5's own file has them.
file = json.loads(tokenizer.to_str())
file["model"]["merges"] = [" ".join(m) for m in file["model"]["merges"]]
(here / "qwen2-style.json").write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n")
tokenizer = Tokenizer.from_file(str(here / "qwen2-style.json"))

rng = random.Random(11)
texts = [line for line in corpus.split("\n")] + [corpus, "", " ", "  ", "\n", " \n ", "a  b", "a \n\n b\t\tc ", "'s", "'S't", "it'll've"]
texts += ["'\u017f x'\u017fabc", "\u00a0x\u2003y\u3000z", "\u0085\u2028 \u1680a", "\x1c\x1d\x1ea \x1fb", "e\u0301te\u0301 A\u030a \u1112\u1161\u11ab", "²½Ⅷ٣४x", "👩‍👩‍👧‍👦🏳️‍🌈!", "a\u200db\ufeffc", "\u0000\u0001\x7f", "x" * 300, "ab " * 100, "é" * 120, "!?" * 90 + "\r\n\r\n  z"]
pools = [
    " \t\n\r.,'\"sStTrReEvVmMlLdD",
    " \n\r\u00a0\u2003ab1٣.!é你е\u0301",
    [chr(c) for c in range(32, 0x2000) if not 0x378 <= c < 0x38E],
    [chr(c) for c in list(range(0x2000, 0x3100)) + list(range(0xA640, 0xA700)) + list(range(0x1F300, 0x1F600)) + list(range(0x10400, 0x10440))],
    "'sS'tT'rReE'vV'mM'lL'dD \u017f",
]
for pool in pools:
    for _ in range(60):
        texts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 24))))
cases = []
for text in texts:
    words = [w for w, _ in pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False).pre_tokenize_str(text)]
    cases.append({"text": text, "words": words, "ids": tokenizer.encode(text, add_special_tokens=False).ids})
(here / "cases.json").write_text(json.dumps(cases, ensure_ascii=True, separators=(",", ":")).replace('},{', '},\n{') + "\n")
