//! Whatever the boot table answers, it is read or refused, and no error depends on the configuration.
#![no_main]

use ecsrunner_aws::boot_item::{error_code, read};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;
use serde_json::Value;

fuzz_target!(|reply: &[u8]| {
    let code = error_code(400, reply);
    assert!(!code.is_empty() && code.len() <= 80);
    match read(reply) {
        Ok(None) => {}
        Ok(Some(taken)) => assert!(!taken.jit.expose_secret().is_empty()),
        Err(_) => {
            let Ok(mut value) = serde_json::from_slice::<Value>(reply) else { return };
            if value["Attributes"]["jit"]["S"].as_str().is_none_or(str::is_empty) {
                return;
            }
            let told = |value: &Value| read(value.to_string().as_bytes()).map_err(|error| error.to_string()).err();
            let first = told(&value);
            value["Attributes"]["jit"]["S"] = "another configuration".into();
            if let Some(first) = first {
                assert_eq!(Some(first), told(&value), "an error does not depend on the secret");
            }
        }
    }
});
