//! A tar with one disk image in it, as Debian publishes its cloud images.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::decode::{DecodeError, Decoder};
use super::detect::{is_disk, no_partition_table};
use super::error::{Damage, NotAnImage};
use super::sink::Sink;
use super::{CopyError, read_full};

/// Limit for the headers in front of one file (long names, extended headers, maps of sparse files), which the
/// tar crate holds in memory. In bytes.
const MAX_HEADERS: u64 = 2 << 20;
/// How many members a message lists.
const MAX_LISTED: usize = 4;

/// Copies the only image of the archive that starts with `head` and goes on in `rest`.
pub(super) fn copy(head: &[u8], rest: &mut Decoder<'_>, sink: &mut Sink) -> Result<(), CopyError> {
    let budget = Rc::new(Cell::new(Some(MAX_HEADERS)));
    let mut reader = Metered { inner: head.chain(rest), budget: Rc::clone(&budget) };
    let mut found: Option<String> = None;
    let mut others = Vec::new();
    let mut archive = tar::Archive::new(&mut reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        budget.set(None);
        let name = entry.path()?.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        let is_file = kind.is_file() || kind.is_gnu_sparse() || kind.is_contiguous();
        if is_file && is_image_name(&name) {
            if let Some(first) = found {
                return Err(NotAnImage::SeveralImages(first, name).into());
            }
            copy_image(&mut entry, &name, sink)?;
            found = Some(name);
        } else {
            io::copy(&mut entry, &mut io::sink())?;
            if others.len() < MAX_LISTED {
                others.push(name);
            }
        }
        budget.set(Some(MAX_HEADERS));
    }
    budget.set(None);
    if found.is_none() {
        return Err(NotAnImage::NoImageInTar(others).into());
    }
    require_zeros(&mut reader)
}

fn is_image_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".raw", ".img"].iter().any(|end| name.ends_with(end))
}

fn copy_image(entry: &mut tar::Entry<'_, impl Read>, name: &str, sink: &mut Sink) -> Result<(), CopyError> {
    let is_sparse = |key: &[u8]| key.starts_with(b"GNU.sparse.");
    let extensions = entry.pax_extensions()?;
    if extensions.is_some_and(|mut all| all.any(|one| one.is_ok_and(|one| is_sparse(one.key_bytes())))) {
        return Err(NotAnImage::PaxSparse(name.into()).into());
    }
    let mut first = [0; 512];
    let length = read_full(entry, &mut first)?;
    if !is_disk(&first[..length]) {
        let reason = Box::new(no_partition_table(&first[..length]));
        return Err(NotAnImage::MemberIsNoDisk { name: name.into(), reason }.into());
    }
    sink.copy(&mut first.as_slice().chain(entry))
}

/// What follows the archive must be padding. Reading it also lets the decoder check its sums.
fn require_zeros(reader: &mut impl Read) -> Result<(), CopyError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match read_full(reader, &mut buffer)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Err(NotAnImage::DataBehindTar.into()),
        }
    }
}

/// Fails when more is read than the budget, while one is set.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(left) = self.budget.get() {
            let left = left.checked_sub(read as u64);
            let left = left.ok_or_else(|| DecodeError::damaged(Damage::TarHeaders(MAX_HEADERS)))?;
            self.budget.set(Some(left));
        }
        Ok(read)
    }
}
