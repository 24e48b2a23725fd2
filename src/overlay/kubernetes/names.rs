//! What Kubernetes accepts as a name, a namespace, a `kind` and an `apiVersion`.

/// API groups whose objects may have any name that fits into a URL, such as `system:reader`.
const PATH_SEGMENT_GROUPS: [&str; 2] = ["rbac.authorization.k8s.io", "certificates.k8s.io"];
/// Kinds of the core group whose names are labels.
const LABEL_KINDS: [&str; 2] = ["Namespace", "Service"];

/// The rule for the names of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameRule {
    /// RFC 1123, in lower case.
    Label,
    /// RFC 1123 as Kubernetes has it: parts may be longer than labels.
    Subdomain,
    /// Any text without `/` and `%`.
    PathSegment,
}

impl NameRule {
    pub(super) fn of(group: &str, kind: &str) -> Self {
        if PATH_SEGMENT_GROUPS.contains(&group) {
            Self::PathSegment
        } else if group.is_empty() && LABEL_KINDS.contains(&kind) {
            Self::Label
        } else {
            Self::Subdomain
        }
    }

    pub(super) fn allows(self, name: &str) -> bool {
        match self {
            Self::Label => name.len() <= 63 && !name.contains('.') && is_subdomain(name),
            Self::Subdomain => is_subdomain(name),
            Self::PathSegment => !matches!(name, "" | "." | "..") && !name.contains(['/', '%']),
        }
    }

    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Label => {
                "at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends"
            }
            Self::Subdomain => {
                "at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
            }
            Self::PathSegment => "without `/` and `%`",
        }
    }
}

fn is_subdomain(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(is_inner)
    };
    (1..=253).contains(&text.len()) && text.split('.').all(is_part)
}

/// The group of an `apiVersion`, which is `version` or `group/version`; the core group is empty.
pub(super) fn api_group(version: &str) -> Option<&str> {
    match version.split_once('/') {
        None => NameRule::Label.allows(version).then_some(""),
        Some((group, version)) => {
            (NameRule::Label.allows(version) && NameRule::Subdomain.allows(group)).then_some(group)
        }
    }
}

pub(super) fn is_kind(kind: &str) -> bool {
    kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.len() <= 63
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
