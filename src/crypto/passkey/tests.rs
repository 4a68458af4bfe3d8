//! Vectors of the standard (W3C, Web Authentication level 3, section 16), and what must not verify.

use proptest::prelude::*;

use super::cbor::Item;
use super::*;

fn party() -> RelyingParty {
    RelyingParty::new(PasskeySettings {
        rp_id: "example.org".to_owned(),
        origins: vec!["https://example.org".to_owned()],
        name: "Aether Vault".to_owned(),
    })
}

fn b64(hex: &str) -> String {
    URL_SAFE_NO_PAD.encode(hex::decode(hex).unwrap())
}

/// "packed-self.ES256": a registration whose user was verified.
const REGISTERED: [&str; 4] = [
    "7869c2b772d4b58eba9378cf8f29e26cf935aa77df0da89fa99c0bdc0a76f7e5",
    "455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58c",
    "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2265476e4374334c55745936366b336a506a796e6962506b31716e666644616966715a774c33417032392d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a205539685458764b453255526b4d6e625f307859485667227d",
    "a363666d74667061636b65646761747453746d74a263616c672663736967584630440220067a20754ab925005dbf378097c92120031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c0eba3af18bd9d121fa3d3a26d17fe3f220272178f473b6006d68617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b55d00000000df850e09db6afbdfab51697791506cfc0020455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c18f6cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2",
];
/// "none.ES256.crossOrigin": the same, but the page was framed by one of another origin.
const FRAMED: [&str; 4] = [
    "3be5aacd03537142472340ab5969f240f1d87716e20b6807ac230655fa4b3b49",
    "6e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57",
    "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a224f2d57717a514e5463554a484930437257576e7951504859647862694332674872434d475666704c4f306b222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a747275652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a207a5a7175457444523944577170573574425754467567227d",
    "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b54500000000883f4f6014f19c09d87aa38123be48d000206e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57a501020326200121582022200a473f90b11078851550d03b4e44a2279f8c4eca27b3153dedfe03e4e97d225820cbd0be95e746ad6f5a8191be11756e4c0420e72f65b466d39bc56b8b123a9c6e",
];
/// "none.ES256": nobody verified the user.
const UNVERIFIED: [&str; 4] = [
    "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130",
    "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4",
    "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774a544c453551227d",
    "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
];
/// The assertion of "packed-self.ES256": challenge, client data, authenticator data, signature. Nobody verified the user.
const ASSERTED: [&str; 4] = [
    "4478a10b1352348dd160c1353b0d469b5db19eb91c27f7dfa6fed39fe26af20b",
    "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a225248696843784e534e493352594d45314f7731476d3132786e726b634a5f6666707637546e2d4a71386773222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a206754623533727a36456853576f6d58477a696d433151227d",
    "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50900000000",
    "304402203310b9431903c401f1be2bdc8d23a4007682dbbddcf846994947b7f465daf84002204e94dd00047b316061b3b99772b7efd95994a83ef584b3b6b825ea3550251b66",
];

fn registration([challenge, id, client, object]: [&str; 4]) -> (Value, Value) {
    let answer = json!({"id": b64(id), "rawId": b64(id), "type": "public-key", "clientExtensionResults": {},
        "response": {"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": ["internal"]}});
    (json!({"challenge": b64(challenge)}), answer)
}

#[test]
fn a_registration_of_the_standard_verifies_and_its_key_the_assertion_that_follows() {
    let (state, answer) = registration(REGISTERED);
    let made = party().finish_registration(&state, &answer).unwrap();
    assert_eq!(made.credential_id, hex::decode(REGISTERED[1]).unwrap());
    assert_eq!(made.counter, 0);
    let key = PublicKey::from_stored(&made.credential).unwrap();
    let [_, client, data, signature] = ASSERTED.map(|hex| hex::decode(hex).unwrap());
    let hash = crate::crypto::token::sha256(&client);
    let signed = [data.as_slice(), hash.as_slice()].concat();
    assert!(key.verify(&signed, &signature));
    assert!(!key.verify(&[&signed[..], &[0]].concat(), &signature));
    let answer = json!({"rawId": b64(REGISTERED[1]), "type": "public-key", "response": {"clientDataJSON": b64(ASSERTED[1]),
        "authenticatorData": b64(ASSERTED[2]), "signature": b64(ASSERTED[3])}});
    let state = json!({"challenge": b64(ASSERTED[0])});
    assert_eq!(
        party().finish_assertion(&state, &answer, &made.credential),
        Err(PasskeyError::Unverified),
        "all of it fits, but nobody verified the user"
    );
}

#[test]
fn what_is_of_another_page_another_challenge_or_nobody_is_refused() {
    let (state, answer) = registration(REGISTERED);
    let refused = |party: &RelyingParty, state: &Value, answer: &Value| party.finish_registration(state, answer).err();
    let (framed_state, framed) = registration(FRAMED);
    assert_eq!(
        refused(&party(), &framed_state, &framed),
        Some(PasskeyError::Elsewhere),
        "framed"
    );
    let (unverified_state, unverified) = registration(UNVERIFIED);
    assert_eq!(
        refused(&party(), &unverified_state, &unverified),
        Some(PasskeyError::Unverified)
    );
    assert_eq!(
        refused(&party(), &framed_state, &answer),
        Some(PasskeyError::Elsewhere),
        "another challenge"
    );
    let elsewhere = |rp_id: &str, origin: &str| {
        RelyingParty::new(PasskeySettings {
            rp_id: rp_id.to_owned(),
            origins: vec![origin.to_owned()],
            name: String::new(),
        })
    };
    let other_page = elsewhere("example.org", "https://www.example.org");
    assert_eq!(refused(&other_page, &state, &answer), Some(PasskeyError::Elsewhere));
    let other_domain = elsewhere("example.com", "https://example.org");
    assert_eq!(refused(&other_domain, &state, &answer), Some(PasskeyError::Elsewhere));
    let mut renamed = answer.clone();
    renamed["rawId"] = b64(FRAMED[1]).into();
    assert_eq!(refused(&party(), &state, &renamed), Some(PasskeyError::Form));
    let mut cut = answer.clone();
    cut["response"]["attestationObject"] = b64(&REGISTERED[3][..REGISTERED[3].len() - 2]).into();
    assert_eq!(refused(&party(), &state, &cut), Some(PasskeyError::Form));
    let mut as_assertion = answer;
    as_assertion["response"]["clientDataJSON"] = b64(ASSERTED[1]).into();
    let state = json!({"challenge": b64(ASSERTED[0])});
    assert_eq!(
        refused(&party(), &state, &as_assertion),
        Some(PasskeyError::Elsewhere),
        "an assertion is no registration"
    );
}

#[test]
fn a_challenge_wants_a_verified_user_a_credential_that_can_be_found_and_differs_each_time() {
    let start = || party().start_registration(Uuid::from_u128(7), "ann", "Ann", &[vec![1, 2, 3]]);
    let (one, two) = (start(), start());
    let options = &one.options["publicKey"];
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["rp"]["id"], "example.org");
    assert_eq!(options["excludeCredentials"][0]["id"], "AQID");
    assert_eq!(options["challenge"].as_str().unwrap().len(), 43);
    assert_eq!(options["challenge"], one.state["challenge"]);
    assert_ne!(options["challenge"], two.options["publicKey"]["challenge"]);
    let login = party().start_assertion(&[]);
    assert_eq!(login.options["publicKey"]["userVerification"], "required");
    assert_eq!(login.options["publicKey"]["allowCredentials"], json!([]));
}

#[test]
fn keys_of_every_kind_come_back_as_they_were_stored() {
    for key in [
        PublicKey::Ed25519(vec![7; 32]),
        PublicKey::P256(vec![4; 65]),
        PublicKey::Rsa {
            modulus: vec![9; 256],
            exponent: vec![1, 0, 1],
        },
    ] {
        assert_eq!(PublicKey::from_stored(&key.stored()), Some(key));
    }
    assert_eq!(PublicKey::from_stored(&json!({})), None);
}

#[test]
fn keys_that_are_too_small_of_another_curve_or_of_another_algorithm_than_they_say_are_refused() {
    let pair = |label: i64, value: Item<'static>| (Item::Int(label), value);
    let bytes = |length: usize| Item::Bytes(&[7; 2048][..length]);
    let okp = |algorithm, curve, x| {
        Item::Map(vec![
            pair(1, Item::Int(1)),
            pair(3, Item::Int(algorithm)),
            pair(-1, Item::Int(curve)),
            pair(-2, bytes(x)),
        ])
    };
    let ec = |algorithm, curve, x, y| {
        Item::Map(vec![
            pair(1, Item::Int(2)),
            pair(3, Item::Int(algorithm)),
            pair(-1, Item::Int(curve)),
            pair(-2, bytes(x)),
            pair(-3, bytes(y)),
        ])
    };
    let rsa = |algorithm, n, e| {
        Item::Map(vec![
            pair(1, Item::Int(3)),
            pair(3, Item::Int(algorithm)),
            pair(-1, bytes(n)),
            pair(-2, bytes(e)),
        ])
    };
    for (key, taken) in [
        (okp(-8, 6, 32), true),
        (okp(-8, 4, 32), false),
        (okp(-7, 6, 32), false),
        (okp(-8, 6, 31), false),
        (ec(-7, 1, 32, 32), true),
        (ec(-7, 2, 32, 32), false),
        (ec(-8, 1, 32, 32), false),
        (ec(-7, 1, 32, 33), false),
        (rsa(-257, 256, 3), true),
        (rsa(-257, 255, 3), false),
        (rsa(-257, 1025, 3), false),
        (rsa(-257, 256, 0), false),
        (rsa(-257, 256, 9), false),
        // RSA with SHA-1 is nothing that was asked for.
        (rsa(-65535, 256, 3), false),
    ] {
        assert_eq!(PublicKey::from_cose(&key).is_some(), taken, "{key:?}");
    }
}

proptest! {
    #[test]
    fn r31_no_bytes_panic(bytes: Vec<u8>, cut in 0_usize..400) {
        let _ = AuthenticatorData::parse(&bytes);
        let _ = attested(&bytes);
        // What is nearly right comes further than noise.
        let mut object = hex::decode(REGISTERED[3]).unwrap();
        let place = cut % object.len();
        object[place] ^= bytes.first().copied().unwrap_or(1);
        if let Some(data) = attested(&object).and_then(AuthenticatorData::parse) {
            let _ = data.credential.and_then(|new| PublicKey::from_cose(&new.key));
        }
        let (state, mut answer) = registration(REGISTERED);
        answer["response"]["attestationObject"] = URL_SAFE_NO_PAD.encode(&object).into();
        let _ = party().finish_registration(&state, &answer);
    }
}
