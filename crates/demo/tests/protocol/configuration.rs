//! §3: the just-in-time configuration.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{is_guid, keys};
use crate::harness::Harness;
use crate::runner::Registered;

#[test]
fn the_configuration_is_three_files() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let names: Vec<&str> = registered.files.keys().map(String::as_str).collect();
    assert_eq!(names, [".credentials", ".credentials_rsaparams", ".runner"]);
}

#[test]
fn the_settings_are_all_texts_and_name_the_runner_and_its_services() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let settings = &registered.files[".runner"];
    assert_eq!(
        keys(settings),
        [
            "AgentId",
            "AgentName",
            "DisableUpdate",
            "Ephemeral",
            "GitHubUrl",
            "PoolId",
            "PoolName",
            "ServerUrl",
            "ServerUrlV2",
            "UseV2Flow",
            "WorkFolder",
        ]
    );
    let id = registered.id.to_string();
    for (key, value) in [
        ("AgentId", id.as_str()),
        ("AgentName", "one"),
        ("DisableUpdate", "True"),
        ("Ephemeral", "True"),
        ("WorkFolder", "_work"),
        ("UseV2Flow", "true"),
    ] {
        assert_eq!(settings[key], value, "{key}");
    }
    assert!(settings["PoolName"].is_null() || settings["PoolName"].is_string(), "{settings}");
    assert!(registered.setting("PoolId").parse::<u64>().is_ok_and(|id| id > 0), "{settings}");
    assert_eq!(registered.setting("GitHubUrl"), format!("{}/acme/app", harness.url));
    for key in ["ServerUrl", "ServerUrlV2"] {
        let url = registered.setting(key);
        assert!(url.starts_with(&format!("{}/", harness.url)) && url.ends_with('/'), "{key}: {url}");
    }
    // If the two differ, the runner first makes calls of the old protocol, which the fake does not support.
    assert_eq!(registered.setting("ServerUrl"), registered.setting("ServerUrlV2"));
}

#[test]
fn a_runner_of_an_organization_is_sent_to_the_organization() {
    let harness = Harness::new();
    let registered = Registered::from_reply(&harness.register_in_organization("one"));
    assert_eq!(registered.setting("GitHubUrl"), format!("{}/acme", harness.url));
}

#[test]
fn the_credentials_name_a_client_and_where_it_gets_tokens() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let credentials = &registered.files[".credentials"];
    assert_eq!(keys(credentials), ["Data", "Scheme"]);
    assert_eq!(credentials["Scheme"], "OAuth");
    assert_eq!(keys(&credentials["Data"]), ["AuthorizationUrl", "ClientId", "RequireFipsCryptography"]);
    assert_eq!(credentials["Data"]["RequireFipsCryptography"], "True");
    assert!(is_guid(registered.credential("ClientId")), "{credentials}");
    assert!(
        registered.credential("AuthorizationUrl").starts_with(&format!("{}/", harness.url)),
        "{credentials}"
    );
    let other = Registered::new(&harness, "two");
    assert_ne!(other.credential("ClientId"), registered.credential("ClientId"));
}

#[test]
fn the_key_has_numbers_of_the_lengths_that_the_runner_accepts() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let parameters = &registered.files[".credentials_rsaparams"];
    assert_eq!(keys(parameters), ["d", "dp", "dq", "exponent", "inverseQ", "modulus", "p", "q"]);
    let length = |name: &str| STANDARD.decode(parameters[name].as_str().unwrap()).unwrap().len();
    let lengths: Value = keys(parameters).into_iter().map(|name| json!([name, length(name)])).collect();
    assert_eq!(
        lengths,
        json!([
            ["d", 256],
            ["dp", 128],
            ["dq", 128],
            ["exponent", 3],
            ["inverseQ", 128],
            ["modulus", 256],
            ["p", 128],
            ["q", 128]
        ])
    );
    assert_eq!(parameters["exponent"], "AQAB");
}

/// The key was read from its numbers, which checks their relations. This test also signs with it.
#[test]
fn the_private_numbers_sign_what_the_public_ones_verify() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let mut signature = vec![0; registered.key.public_modulus_len()];
    registered.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), b"signed", &mut signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, registered.key.public_key().as_ref());
    public.verify(b"signed", &signature).unwrap();
    assert!(public.verify(b"other", &signature).is_err());
}
