//! PARTUUIDs in text files: `PARTUUID=…` in fstab, on the kernel's command line and in `/etc/default/raspi-firmware`,
//! and `/dev/disk/by-partuuid/…`.

/// Replaces each old PARTUUID by its new one, wherever it stands as a whole word. Case doesn't matter.
pub(crate) fn replace(text: &[u8], renamed: &[(String, String)]) -> Vec<u8> {
    let is_inner = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let starts = at == 0 || !is_inner(text[at - 1]);
        let found = renamed.iter().find(|(old, _)| {
            let end = at + old.len();
            let here = text.get(at..end).is_some_and(|here| here.eq_ignore_ascii_case(old.as_bytes()));
            starts && here && text.get(end).is_none_or(|next| !is_inner(*next))
        });
        if let Some((old, new)) = found {
            out.extend_from_slice(new.as_bytes());
            at += old.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_partuuids_are_replaced() {
        let renamed =
            [("aa-bb".to_owned(), "12345678-01".to_owned()), ("aa-bc".into(), "12345678-02".into())];
        let replaced = |text: &str| String::from_utf8(replace(text.as_bytes(), &renamed)).unwrap();
        assert_eq!(
            replaced("PARTUUID=aa-bb /boot\nPARTUUID=AA-BC / ext4\n"),
            "PARTUUID=12345678-01 /boot\nPARTUUID=12345678-02 / ext4\n"
        );
        assert_eq!(replaced("/dev/disk/by-partuuid/aa-bb"), "/dev/disk/by-partuuid/12345678-01");
        assert_eq!(replaced("aa-bbb 1aa-bb aa-bb-1"), "aa-bbb 1aa-bb aa-bb-1");
    }
}
