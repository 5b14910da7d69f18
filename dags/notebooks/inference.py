"""
Serves the sentiment model: what `training.ipynb` measures is what a batch transform or an endpoint answers.

`training.ipynb` puts this file into the model artifact as `code/inference.py`, where SageMaker's inference containers
(scikit-learn and Hugging Face) look for these four functions.

Takes JSON lines, `{"inputs": "a sentence"}`, or text/csv with one sentence a row and no header; answers in the same order with
JSON lines, `{"label": "positive", "score": 0.98}`, or with CSV rows `positive,0.98`.
"""

import csv
import io
import json
from pathlib import Path

LABELS = ("negative", "positive")  # SST2's 0 and 1
JSON_TYPES = ("application/jsonlines", "application/x-jsonlines", "application/json")


def model_fn(model_dir):
    """Return a function from a list of sentences to a list of `{"label", "score"}`."""
    if Path(model_dir, "baseline.json").exists():
        return load_baseline(Path(model_dir, "baseline.json"))
    return load_transformers(model_dir)


def input_fn(body, content_type):
    text = body.decode("utf-8") if isinstance(body, bytes | bytearray) else body
    kind = content_type.split(";")[0].strip().lower()
    if kind in JSON_TYPES:
        return [json.loads(line)["inputs"] for line in text.splitlines() if line.strip()]
    if kind == "text/csv":
        return [row[0] for row in csv.reader(io.StringIO(text)) if row]
    raise ValueError(f"content type {content_type!r} is not supported; send one of: {', '.join(JSON_TYPES)}, text/csv")


def predict_fn(sentences, model):
    return model(sentences)


def output_fn(predictions, accept):
    # A client that does not mind sends */* or nothing at all.
    kinds = [kind.split(";")[0].strip().lower() for kind in (accept or "*/*").split(",")]
    if any(kind in (*JSON_TYPES, "*/*") for kind in kinds):
        return "\n".join(json.dumps(prediction) for prediction in predictions)
    if "text/csv" in kinds:
        rows = io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows((each["label"], each["score"]) for each in predictions)
        return rows.getvalue().rstrip("\n")
    raise ValueError(f"cannot answer with {accept!r}; accept one of: {', '.join(JSON_TYPES)}, text/csv")


def load_baseline(path):
    """Build the TF-IDF model from its weights: numbers, where a pickle could be read by the scikit-learn that wrote it only."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = json.loads(path.read_text(encoding="utf-8"))
    vectorizer = TfidfVectorizer(sublinear_tf=True, vocabulary=weights["vocabulary"])
    vectorizer.idf_ = np.array(weights["idf"])
    coefficients, intercept = np.array(weights["coefficients"]), weights["intercept"]

    def predict(sentences):
        if not sentences:
            return []
        positive = 1 / (1 + np.exp(-(vectorizer.transform(sentences) @ coefficients + intercept)))
        return [
            {"label": LABELS[int(share > 0.5)], "score": float(max(share, 1 - share))} for share in positive.tolist()
        ]

    return predict


def load_transformers(model_dir):
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast, pipeline

    # The plain class reads what any release of Transformers has stored; the names of the special ones have changed.
    classify = pipeline(
        "text-classification",
        model=AutoModelForSequenceClassification.from_pretrained(model_dir),
        tokenizer=PreTrainedTokenizerFast.from_pretrained(model_dir),
        device=0 if torch.cuda.is_available() else -1,
    )

    def predict(sentences):
        return classify(list(sentences), batch_size=32, truncation=True) if sentences else []

    return predict
