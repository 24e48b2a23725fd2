//! A tar with one disk image in it, as Debian's cloud images come.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::decode::Decoder;
use super::detect::{Other, is_disk, no_table};
use super::sink::Sink;
use super::{Problem, read_full};

/// What the headers in front of one file may take: long names, extended headers, maps of sparse files. The
/// tar crate keeps it in memory, so it needs a bound. In bytes.
const MOST_HEADERS: u64 = 2 << 20;

/// Copies the only image of the archive that starts with `head` and goes on in `rest`.
pub(super) fn copy(head: &[u8], rest: &mut Decoder<'_>, sink: &mut Sink) -> Result<(), Problem> {
    let budget = Rc::new(Cell::new(Some(MOST_HEADERS)));
    let mut reader = Metered { inner: head.chain(rest), budget: Rc::clone(&budget) };
    let mut found: Option<String> = None;
    let mut others = Vec::new();
    {
        let mut archive = tar::Archive::new(&mut reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            budget.set(None);
            let name = entry.path()?.to_string_lossy().into_owned();
            let kind = entry.header().entry_type();
            if (kind.is_file() || kind.is_gnu_sparse() || kind.is_contiguous()) && is_image(&name) {
                if let Some(first) = found {
                    return Err(content(format!("it holds more than one image: `{first}` and `{name}`")));
                }
                copy_image(&mut entry, &name, sink)?;
                found = Some(name);
            } else {
                io::copy(&mut entry, &mut io::sink())?;
                others.push(name);
            }
            budget.set(Some(MOST_HEADERS));
        }
    }
    budget.set(None);
    if found.is_none() {
        let list = others.iter().take(4).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        return Err(content(format!("it is a tar without `disk.raw`; it holds {list}")));
    }
    only_zeros(&mut reader)
}

fn content(what: impl Into<String>) -> Problem {
    Problem::Content(Other::new(what))
}

fn is_image(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".raw", ".img"].iter().any(|end| name.ends_with(end))
}

fn copy_image(entry: &mut tar::Entry<'_, impl Read>, name: &str, sink: &mut Sink) -> Result<(), Problem> {
    let in_pax = |key: &[u8]| key.starts_with(b"GNU.sparse.");
    let extensions = entry.pax_extensions()?;
    if extensions.is_some_and(|mut all| all.any(|one| one.is_ok_and(|one| in_pax(one.key_bytes())))) {
        let other = Other::new(format!("`{name}` in it is stored as a sparse file in pax format"));
        return Err(Problem::Content(other.hint("unpack it with tar and give the image inside")));
    }
    let mut first = [0; 512];
    let length = read_full(entry, &mut first)?;
    if !is_disk(&first[..length]) {
        let other = no_table(&first[..length]);
        return Err(content(format!("`{name}` in it is no disk: {}", other.what)));
    }
    sink.copy(&mut first.as_slice().chain(entry))
}

/// What follows the archive is padding; reading it also lets the decoder check its sums.
fn only_zeros(reader: &mut impl Read) -> Result<(), Problem> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match read_full(reader, &mut buffer)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Err(content("something follows behind the end of the tar")),
        }
    }
}

/// Counts what is read while a budget is set.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(left) = self.budget.get() {
            let left = left.checked_sub(read as u64);
            self.budget.set(Some(left.ok_or_else(|| io::Error::other("its headers are too long"))?));
        }
        Ok(read)
    }
}
