"""The vectors of signatures.json, made with libraries that the services do not use: `python signatures.py > signatures.json`."""

import base64
import hashlib
import hmac
import json

import cryptography
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Any number below the order of the curve; the signatures themselves are drawn anew each time.
KEYS = [ec.derive_private_key(number, ec.SECP256R1()) for number in (0x5EED_5EED_5EED_5EED, 0xC0FFEE_C0FFEE_C0FFEE)]
SECRET = "a secret of klaviyo's webhook"
BODIES = [
    '[{"email":"user1000@example.com","timestamp":1764400000,"event":"open","sg_event_id":"a","sg_message_id":"m"}]\r\n',
    '[{"email":"user1001@example.com","timestamp":1764400001,"event":"click","sg_event_id":"ü","sg_message_id":"m","url":"https://shop.example/?q=1"}]',
    "[]",
]
EVENT = '{"data": [], "meta": {"timestamp": "2026-01-31T09:15:00+00:00"}}'


def public(key):
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(spki).decode()


def ecdsa(key, timestamp, body):
    return base64.b64encode(key.sign(timestamp.encode() + body.encode(), ec.ECDSA(hashes.SHA256()))).decode()


def klaviyo(secret, timestamp, body):
    return hmac.new(secret.encode(), body.encode() + timestamp.encode(), hashlib.sha256).hexdigest()


def mailgun(secret, timestamp, token):
    return hmac.new(secret.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()


def body_of_mailgun(timestamp, token, signature):
    event = {"event": "opened", "id": "x", "timestamp": 1764400000.5, "recipient": "user1000@example.com", "message": {"headers": {"message-id": "a"}}}
    return json.dumps({"signature": {"timestamp": timestamp, "token": token, "signature": signature}, "event-data": event})


def vectors():
    at = "1764400123"
    for body in BODIES:
        signature = ecdsa(KEYS[0], at, body)
        yield "sendgrid", at, body, signature, True
        yield "sendgrid", at, body + " ", signature, False
        yield "sendgrid", "1764400124", body, signature, False
        yield "sendgrid", at, body, ecdsa(KEYS[1], at, body), False
        yield "sendgrid", at, body, ecdsa(KEYS[0], "", at + " " + body), False
        yield "sendgrid", at, body, base64.b64encode(b"\x30\x06\x02\x01\x00\x02\x01\x00").decode(), False
        yield "sendgrid", at, body, "", False
    for at in ("1764400123", "2026-01-31T09:15:00+00:00", "Sat, 31 Jan 2026 09:15:00 GMT"):
        signature = klaviyo(SECRET, at, EVENT)
        yield "klaviyo", at, EVENT, signature, True
        yield "klaviyo", at, EVENT, signature.upper(), True
        yield "klaviyo", at, EVENT.replace(" ", ""), signature, False
        yield "klaviyo", at, EVENT, klaviyo(SECRET + "!", at, EVENT), False
        yield "klaviyo", at, EVENT, klaviyo(SECRET, "", EVENT), False
        yield "klaviyo", at, EVENT, signature[:-2], False
        yield "klaviyo", at, EVENT, "", False
    at = "1764400123"
    good = mailgun(SECRET, at, "token")
    yield "mailgun", None, body_of_mailgun(at, "token", good), None, True
    yield "mailgun", None, body_of_mailgun(at, "other", good), None, False
    yield "mailgun", None, body_of_mailgun(at, "token", mailgun(SECRET + "!", at, "token")), None, False
    yield "mailgun", None, "{}", None, False


names = ("provider", "timestamp", "body", "signature", "valid")
print(json.dumps({
    "made_with": f"cryptography {cryptography.__version__}, hmac",
    "keys": {"sendgrid": ["ecdsa", public(KEYS[0])], "klaviyo": ["hmac", SECRET], "mailgun": ["hmac", SECRET]},
    "vectors": [dict(zip(names, vector)) for vector in vectors()],
}, indent=1, ensure_ascii=False))
