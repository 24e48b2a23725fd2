//! The variable `secrets`: remembers whether a template reads a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Object, Value};

use crate::secrets::{Secret, SecretValue};

/// Whether a secret was read.
#[derive(Debug, Clone, Default)]
pub(super) struct SecretWasRead(Arc<AtomicBool>);

impl SecretWasRead {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Secrets by name. Printed as a whole it is masked.
pub(super) struct SecretsVariable {
    values: BTreeMap<String, SecretValue>,
    was_read: SecretWasRead,
}

impl SecretsVariable {
    pub(super) fn value(values: BTreeMap<String, SecretValue>, was_read: SecretWasRead) -> Value {
        Value::from_object(Self { values, was_read })
    }

    fn reveal(&self, secret: &Secret) -> Value {
        self.was_read.0.store(true, Ordering::Relaxed);
        Value::from(secret.reveal())
    }
}

impl fmt::Debug for SecretsVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Object for SecretsVariable {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.values.get(key.as_str()?)? {
            SecretValue::Text(secret) => Some(self.reveal(secret)),
            SecretValue::Pair { crt, key } => {
                let parts = [("crt", crt.clone()), ("key", Some(key.clone()))];
                let parts = parts.into_iter().filter_map(|(n, s)| Some((n.into(), SecretValue::Text(s?))));
                Some(Self::value(parts.collect(), self.was_read.clone()))
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
