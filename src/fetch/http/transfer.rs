//! A file under way: what is there already, whether it may be continued, and its hash so far.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::exchange::{Body, Head, Request};
use super::{ClientSettings, Expected, FailureKind, Try, file_name, without_credentials};
use crate::digest::{Sha256, Sha256Hasher};
use crate::error::FileError;
use crate::fetch::checksum;
use crate::interrupt;
use crate::progress::{Progress, Task};

/// What is remembered beside a partial file, so that another run can continue it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartialOrigin {
    url: String,
    etag: Option<String>,
}

pub(super) struct Transfer<'a> {
    url: &'a str,
    expected: Expected,
    path: PathBuf,
    file: File,
    /// Of the first `length` bytes of the file.
    hasher: Sha256Hasher,
    length: u64,
    /// Some of the file is from an earlier answer.
    continued: bool,
    progress: &'a dyn Progress,
    task: Option<Box<dyn Task>>,
}

impl<'a> Transfer<'a> {
    /// Looks at what an earlier run left in `partial`.
    pub(super) fn open(
        partial: &Path,
        url: &'a str,
        expected: Expected,
        progress: &'a dyn Progress,
    ) -> crate::Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(partial)
            .map_err(FileError::new("write", partial))?;
        let mut this = Self {
            url,
            expected,
            path: partial.to_owned(),
            file,
            hasher: Sha256Hasher::default(),
            length: 0,
            continued: false,
            progress,
            task: None,
        };
        this.take_up_what_is_there().map_err(FileError::new("read", partial))?;
        interrupt::check()?;
        Ok(this)
    }

    fn take_up_what_is_there(&mut self) -> std::io::Result<()> {
        // Without a hash to expect, only the same URL with the same strong ETag can be continued.
        let can_continue = self.expected.sha256.is_some() || self.etag().is_some();
        let size = self.file.metadata()?.len();
        if !can_continue || self.expected.size.is_some_and(|expected| size > expected) {
            return self.start_over();
        }
        let mut reader = BufReader::with_capacity(256 << 10, &self.file);
        let mut buffer = vec![0; 256 << 10];
        loop {
            interrupt::check_io()?;
            match reader.read(&mut buffer)? {
                0 => break,
                n => {
                    self.hasher.update(&buffer[..n]);
                    self.length += n as u64;
                }
            }
        }
        self.continued = self.length > 0;
        Ok(())
    }

    /// One try. Brings the file to its end and checks it.
    pub(super) fn run(
        &mut self,
        client: &reqwest::blocking::Client,
        settings: &ClientSettings,
    ) -> Result<(Sha256, u64), Try> {
        let before = self.length;
        let is_complete = self.length > 0 && self.expected.size == Some(self.length);
        if !is_complete {
            let result = self.receive(client, settings);
            if let Err(Try::Again { why, wait, .. }) = result {
                return Err(Try::Again { why, wait, brought: self.length.saturating_sub(before) });
            }
            result?;
        }
        self.finish()
    }

    fn receive(&mut self, client: &reqwest::blocking::Client, settings: &ClientSettings) -> Result<(), Try> {
        let mut request = Request::new(self.url);
        if self.length > 0 {
            request = request.range(self.length, self.etag().as_deref());
        }
        let (head, mut body) = request.send(client, settings)?;
        if head.status == StatusCode::RANGE_NOT_SATISFIABLE && self.length > 0 {
            self.start_over().map_err(self.failed())?;
            return Err(Try::again("the server can't continue the download"));
        }
        head.require_success()?;
        let end = self.prepare(&head)?;
        self.check_end(end)?;
        if self.task.is_none() {
            let task = self.progress.start(&file_name(self.url), end.or(self.expected.size));
            task.advance(self.length);
            self.task = Some(task);
        }
        while let Some(chunk) = body.next_chunk()? {
            self.add(&chunk)?;
        }
        match end.or(self.expected.size) {
            Some(end) if self.length < end => {
                Err(Try::again(format!("it was cut short: {} of {end} bytes came", self.length)))
            }
            _ => Ok(()),
        }
    }

    /// Puts the file at the place where the body belongs; the size of the whole, where the server says.
    fn prepare(&mut self, head: &Head) -> Result<Option<u64>, Try> {
        if head.status == StatusCode::PARTIAL_CONTENT {
            return match head.content_range() {
                Some((first, last, total)) if first == self.length && last >= first => {
                    self.file.seek(SeekFrom::Start(first)).map_err(self.failed())?;
                    self.continued = first > 0;
                    Ok(total.or(head.length.map(|rest| first.saturating_add(rest))))
                }
                _ => {
                    self.start_over().map_err(self.failed())?;
                    Err(Try::again("the server sent another part of the file than was asked for"))
                }
            };
        }
        self.start_over().map_err(self.failed())?;
        let origin = PartialOrigin { url: without_credentials(self.url), etag: head.strong_etag() };
        // If it can't be written, the next run starts anew.
        let _ = serde_json::to_vec(&origin).map(|json| std::fs::write(self.origin_path(), json));
        Ok(head.length)
    }

    fn check_end(&self, end: Option<u64>) -> Result<(), Try> {
        match (end, self.expected.size) {
            (Some(end), Some(size)) if end != size => Err(Try::no(
                FailureKind::Verification,
                format!("it has {end} bytes, but {size} were expected"),
            )),
            _ => Ok(()),
        }
    }

    fn add(&mut self, chunk: &[u8]) -> Result<(), Try> {
        let length = self.length + chunk.len() as u64;
        if let Some(size) = self.expected.size.filter(|size| length > *size) {
            self.start_over().map_err(self.failed())?;
            return Err(Try::no(
                FailureKind::Verification,
                format!("it has more than the expected {size} bytes"),
            ));
        }
        self.file.write_all(chunk).map_err(self.failed())?;
        self.hasher.update(chunk);
        self.length = length;
        if let Some(task) = &self.task {
            task.advance(chunk.len() as u64);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(Sha256, u64), Try> {
        let (found, size) = (self.hasher.clone().finish(), self.length);
        if let Some(expected) = self.expected.sha256.filter(|expected| *expected != found) {
            let was_continued = self.continued;
            self.start_over().map_err(self.failed())?;
            if was_continued {
                // The earlier part may be of another version.
                return Err(Try::again("the continued file has a wrong hash"));
            }
            let mismatch = checksum::compare("it", expected.into(), found.into(), "");
            let why = mismatch.err().map_or_else(String::new, |e| e.to_string().replace("`it`", "it"));
            return Err(Try::no(FailureKind::Verification, why));
        }
        if let Some(task) = self.task.take() {
            task.finish();
        }
        Ok((found, size))
    }

    fn start_over(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256Hasher::default();
        self.length = 0;
        self.continued = false;
        self.task = None;
        Ok(())
    }

    /// The `ETag` that belongs to what is in the file.
    fn etag(&self) -> Option<String> {
        let origin: PartialOrigin = serde_json::from_slice(&std::fs::read(self.origin_path()).ok()?).ok()?;
        origin.etag.filter(|_| origin.url == without_credentials(self.url))
    }

    fn origin_path(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".json");
        name.into()
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> FileError {
        FileError::new("write", &self.path)
    }
}
