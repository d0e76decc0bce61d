//! A runner of the protocol: its configuration, its session, and its job.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::client::{Answer, Body, guid, resolve, send};
use crate::harness::Harness;

pub(crate) const BROKER: &str = "actions-broker-listener";
pub(crate) const RUN_SERVICE: &str = "actions-run-service";
const NO_SESSION: &str = "00000000-0000-0000-0000-000000000000";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const QUERY: &str = "runnerVersion=2.336.0&os=Linux&architecture=X64";

/// A registered runner, with the content of its configuration files.
pub(crate) struct Registered {
    pub(crate) id: u64,
    pub(crate) files: Map<String, Value>,
    pub(crate) key: RsaKeyPair,
}

impl Registered {
    #[track_caller]
    pub(crate) fn new(harness: &Harness, name: &str) -> Self {
        Self::from_reply(&harness.register(name))
    }

    /// Reads a registration's reply, as the runner reads its configuration variable.
    #[track_caller]
    pub(crate) fn from_reply(reply: &Value) -> Self {
        let outer = STANDARD.decode(reply["encoded_jit_config"].as_str().unwrap()).unwrap();
        let outer: Map<String, Value> = serde_json::from_slice(&outer).unwrap();
        let file = |content: &Value| -> Value {
            serde_json::from_slice(&STANDARD.decode(content.as_str().unwrap()).unwrap()).unwrap()
        };
        let files: Map<String, Value> =
            outer.iter().map(|(name, content)| (name.clone(), file(content))).collect();
        let key = key(&files[".credentials_rsaparams"]);
        Self { id: reply["runner"]["id"].as_u64().unwrap(), files, key }
    }

    pub(crate) fn setting(&self, key: &str) -> &str {
        self.files[".runner"][key].as_str().unwrap()
    }

    pub(crate) fn credential(&self, key: &str) -> &str {
        self.files[".credentials"]["Data"][key].as_str().unwrap()
    }

    pub(crate) fn broker(&self, path: &str) -> String {
        resolve(self.setting("ServerUrlV2"), path)
    }

    /// Returns the claims of the runner.
    pub(crate) fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        let id = self.credential("ClientId");
        json!({
            "sub": id, "iss": id, "aud": self.credential("AuthorizationUrl"),
            "jti": format!("{now}-{}", self.id), "nbf": now, "exp": now + 300,
        })
    }

    /// Requests a token with claims that a key signs.
    pub(crate) fn request_token(&self, claims: &Value, key: &RsaKeyPair) -> Answer {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({"typ": "JWT", "alg": "PS256"})), encode(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
        ];
        send("POST", self.credential("AuthorizationUrl"), None, Body::Form(&form))
    }

    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let answer = self.request_token(&self.claims(), &self.key).json(200);
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Returns the request for a session.
    pub(crate) fn session_request(&self) -> Value {
        json!({
            "sessionId": NO_SESSION,
            "ownerName": "host (PID: 7)",
            "agent": {
                "id": self.id, "name": self.setting("AgentName"), "version": "2.336.0",
                "osDescription": "Linux 6.1", "ephemeral": null, "status": 0, "provisioningState": null,
            },
            "useFipsEncryption": false,
        })
    }

    pub(crate) fn open_session(&self, token: Option<&str>) -> Answer {
        send("POST", &self.broker("session"), token, Body::Json(&self.session_request()))
    }

    /// Gets a token and opens a session.
    #[track_caller]
    pub(crate) fn listen(self) -> Listening {
        let token = self.token();
        let answer = self.open_session(Some(&token));
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let session = guid(&answer.json(answer.status)["sessionId"]);
        Listening { registered: self, token, session }
    }
}

/// Returns the RSA key in the parameters file.
#[track_caller]
fn key(parameters: &Value) -> RsaKeyPair {
    let number = |name: &str| STANDARD.decode(parameters[name].as_str().unwrap()).unwrap();
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: number("modulus"), e: number("exponent") },
        d: number("d"),
        p: number("p"),
        q: number("q"),
        dP: number("dp"),
        dQ: number("dq"),
        qInv: number("inverseQ"),
    })
    .unwrap()
}

/// A runner with a session.
pub(crate) struct Listening {
    pub(crate) registered: Registered,
    pub(crate) token: String,
    pub(crate) session: String,
}

impl Listening {
    #[track_caller]
    pub(crate) fn new(harness: &Harness, name: &str) -> Self {
        Registered::new(harness, name).listen()
    }

    /// Returns the path of a poll below the broker's URL.
    pub(crate) fn message_path(&self, status: &str) -> String {
        format!("message?sessionId={}&status={status}&{QUERY}&disableUpdate=true", self.session)
    }

    pub(crate) fn poll(&self, status: &str) -> Answer {
        send("GET", &self.registered.broker(&self.message_path(status)), Some(&self.token), Body::None)
    }

    /// Waits for a message, which must have a type. Returns its id and body.
    #[track_caller]
    pub(crate) fn message(&self, status: &str, message_type: &str) -> (u64, Value) {
        let message = self.poll(status).json(200);
        assert_eq!(message["messageType"], message_type, "{message}");
        let body = message["body"].as_str().unwrap();
        (message["messageId"].as_u64().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// Waits for the offer of a job.
    #[track_caller]
    pub(crate) fn offer(&self) -> Value {
        self.message("Online", "RunnerJobRequest").1
    }

    pub(crate) fn acknowledge(&self, request: &str) -> Answer {
        let path = format!("acknowledge?sessionId={}&status=Online&{QUERY}", self.session);
        let body = json!({"runnerRequestId": request});
        send("POST", &self.registered.broker(&path), Some(&self.token), Body::Json(&body))
    }

    /// Requests the job of an offer.
    pub(crate) fn acquire(&self, offer: &Value) -> Answer {
        let body = json!({
            "jobMessageId": offer["runner_request_id"], "runnerOS": "Linux",
            "billingOwnerId": offer["billing_owner_id"],
        });
        let url = resolve(offer["run_service_url"].as_str().unwrap(), "acquirejob");
        send("POST", &url, Some(&self.token), Body::Json(&body))
    }

    pub(crate) fn close_session(&self) -> Answer {
        send("DELETE", &self.registered.broker("session"), Some(&self.token), Body::None)
    }

    /// Waits for a job, acquires it and reports it as running.
    #[track_caller]
    pub(crate) fn start_job(&self) -> RunningJob {
        let job = RunningJob::new(self.acquire(&self.offer()).json(200));
        job.renew().json(200);
        job
    }
}

/// A job that a runner has acquired.
pub(crate) struct RunningJob {
    pub(crate) message: Value,
    pub(crate) plan: String,
    pub(crate) id: String,
    pub(crate) token: String,
    base: String,
}

impl RunningJob {
    #[track_caller]
    pub(crate) fn new(message: Value) -> Self {
        let endpoint = &message["resources"]["endpoints"][0];
        Self {
            plan: guid(&message["plan"]["planId"]),
            id: guid(&message["jobId"]),
            token: endpoint["authorization"]["parameters"]["AccessToken"].as_str().unwrap().to_owned(),
            base: endpoint["url"].as_str().unwrap().to_owned(),
            message,
        }
    }

    pub(crate) fn run_service(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        send("POST", &resolve(&self.base, path), token, Body::Json(body))
    }

    pub(crate) fn renew(&self) -> Answer {
        self.run_service("renewjob", Some(&self.token), &json!({"planId": self.plan, "jobId": self.id}))
    }

    /// Returns the worker's report of a job's end.
    pub(crate) fn ending(&self, conclusion: &str) -> Value {
        json!({
            "planId": self.plan, "jobId": self.id, "conclusion": conclusion, "outputs": {},
            "stepResults": [], "annotations": [], "telemetry": [], "environmentUrl": null,
            "billingOwnerId": "U_1",
        })
    }

    pub(crate) fn complete(&self, conclusion: &str) -> Answer {
        self.complete_with(&self.ending(conclusion))
    }

    pub(crate) fn complete_with(&self, ending: &Value) -> Answer {
        self.run_service("completejob", Some(&self.token), ending)
    }

    #[track_caller]
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.message["variables"][name]["value"].as_str().unwrap()
    }
}
