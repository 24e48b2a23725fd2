//! stub
#![allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    Xz,
    Zst,
    Gz,
}
impl Format {
    pub fn extension(self) -> &'static str {
        "xz"
    }
}
pub struct Done {
    pub size: u64,
}
impl Done {
    pub fn sha256_hex(&self) -> String {
        String::new()
    }
}
pub fn compress(
    _: &std::fs::File,
    _: &std::fs::File,
    _: Format,
    _: usize,
    _: &std::path::Path,
    _: &dyn crate::progress::Task,
) -> crate::Result<Done> {
    Ok(Done { size: 0 })
}
