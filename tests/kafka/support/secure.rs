//! The broker behind TLS, SASL and an authorizer: an authority and certificates made for the test,
//! one user, and no rights but those that the test grants. It must not talk to the broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::acls::Acls;
use super::broker::{Broker, free_port, unique};
use super::deployment::Instance;

/// The user that the processor logs in as.
const USER: &str = "shop";

/// A broker with one user.
#[derive(Debug)]
pub(crate) struct Secure {
    broker: Broker,
    dir: PathBuf,
    password: String,
    port: u16,
    port_expired: u16,
}

impl Secure {
    /// The one that tests share: it ends with the last of them. `None` if this machine cannot.
    pub(crate) fn shared() -> Option<Arc<Secure>> {
        static SHARED: Mutex<Weak<Secure>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secure) = shared.upgrade() {
            return Some(secure);
        }
        let secure = Arc::new(Secure::start()?);
        *shared = Arc::downgrade(&secure);
        Some(secure)
    }

    fn start() -> Option<Secure> {
        let password = unique("secret");
        let (port, port_expired) = (free_port(), free_port());
        let mut made_in = PathBuf::new();
        let broker = Broker::start_with(|dir| {
            dir.clone_into(&mut made_in);
            make_certificates(dir);
            let settings = include_str!("../broker/secure.properties")
                .replace("{secure}", &port.to_string())
                .replace("{expired}", &port_expired.to_string());
            let user = format!("SCRAM-SHA-512=[name={USER},password={password}]");
            (settings, vec!["--add-scram".to_owned(), user])
        })?;
        Some(Secure { broker, dir: made_in, password, port, port_expired })
    }

    /// Where whoever comes may do everything: for the test's own clients.
    pub(crate) fn open_address(&self) -> String {
        self.broker.address()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The listener whose certificate has expired.
    pub(crate) fn expired_address(&self) -> String {
        format!("127.0.0.1:{}", self.port_expired)
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// An authority that has signed nothing here.
    pub(crate) fn foreign_authority(&self) -> PathBuf {
        self.dir.join("foreign.pem")
    }

    /// The rights of the user.
    pub(crate) fn acls(&self) -> Acls {
        Acls::new(&self.broker.address(), &format!("User:{USER}"))
    }

    /// The instance, led to this broker as deploy/operating.md says: settings, and the password
    /// from the environment.
    pub(crate) fn lead(&self, instance: Instance) -> Instance {
        let authority = format!("kafka.client.ssl.ca.location={}", self.authority().display());
        instance
            .with(&[
                &format!("kafka.brokers={}", self.address()),
                "kafka.client.security.protocol=SASL_SSL",
                "kafka.client.sasl.mechanism=SCRAM-SHA-512",
                &format!("kafka.client.sasl.username={USER}"),
                &authority,
            ])
            .with_variable("LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD", &self.password)
    }

    fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }
}

/// An authority, a certificate of its own that is valid and one that has expired, and an authority
/// that nobody asked for.
fn make_certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    };
    for authority in ["authority", "foreign"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} \
             -keyout {authority}.key -out {authority}.pem"
        ));
    }
    openssl(
        "req -newkey rsa:2048 -nodes -subj /CN=broker -addext subjectAltName=IP:127.0.0.1 \
         -keyout broker.key -out broker.csr",
    );
    for (name, days) in [("valid", "2"), ("expired", "-1")] {
        openssl(&format!(
            "x509 -req -in broker.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
             -copy_extensions copy -days {days} -out {name}.crt"
        ));
        let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
        let store = read("broker.key") + &read(&format!("{name}.crt")) + &read("authority.pem");
        fs::write(dir.join(format!("{name}.pem")), store).unwrap();
    }
}
