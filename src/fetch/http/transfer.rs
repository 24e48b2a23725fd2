//! One file on its way: what an earlier run left, whether it can be resumed, and its hash so far.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::ExpectedFile;
use super::error::{CauseClass, FailureCause, TryError, WebPage};
use super::transport::{Request, Response, Transport};
use crate::digest::{Sha256, Sha256Hasher};
use crate::error::FileError;
use crate::fetch::checksum::require_equal;
use crate::fetch::url::{file_name, without_credentials};
use crate::interrupt;
use crate::progress::{Progress, Task};

/// Kept beside a partial file, so that another run can resume it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartialOrigin {
    url: String,
    etag: Option<String>,
}

pub(super) struct Transfer<'a> {
    url: &'a str,
    expected: ExpectedFile,
    path: PathBuf,
    file: File,
    /// Of the first `length` bytes of the file.
    hasher: Sha256Hasher,
    length: u64,
    /// The file's first part came with an earlier response.
    is_resumed: bool,
    /// Set if the last response is a web page.
    page: Option<WebPage>,
    progress: &'a dyn Progress,
    task: Option<Box<dyn Task>>,
}

impl<'a> Transfer<'a> {
    /// Opens `partial` and hashes what an earlier run left there.
    pub(super) fn open(
        partial: &Path,
        url: &'a str,
        expected: ExpectedFile,
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
            is_resumed: false,
            page: None,
            progress,
            task: None,
        };
        this.hash_leftover().map_err(FileError::new("read", partial))?;
        Ok(this)
    }

    fn hash_leftover(&mut self) -> std::io::Result<()> {
        // Without an expected hash, only the same URL with the same strong ETag can be resumed.
        let can_resume = self.expected.sha256.is_some() || self.etag().is_some();
        let size = self.file.metadata()?.len();
        if !can_resume || self.expected.size.is_some_and(|expected| size > expected) {
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
        self.is_resumed = self.length > 0;
        Ok(())
    }

    /// One try: receives what is missing and checks the file.
    pub(super) fn run(&mut self, transport: &Transport) -> Result<(Sha256, u64), TryError> {
        let before = self.length;
        let is_complete = self.length > 0 && self.expected.size == Some(self.length);
        if !is_complete {
            self.receive(transport).map_err(|error| match self.prefer_page(error) {
                TryError::Url { cause, retry_after, .. } => {
                    TryError::Url { cause, retry_after, received: self.length.saturating_sub(before) }
                }
                fatal @ TryError::Fatal(_) => fatal,
            })?;
        }
        self.finish().map_err(|error| self.prefer_page(error))
    }

    /// Replaces a mismatch by its cause if the content is a web page.
    fn prefer_page(&self, error: TryError) -> TryError {
        match (error, &self.page) {
            (TryError::Url { cause, retry_after, received }, Some(page))
                if cause.class() == CauseClass::Verification =>
            {
                TryError::Url { cause: FailureCause::WebPage(page.clone()), retry_after, received }
            }
            (error, _) => error,
        }
    }

    fn receive(&mut self, transport: &Transport) -> Result<(), TryError> {
        let mut request = Request::new(self.url);
        if self.length > 0 {
            request = request.range(self.length, self.etag().as_deref());
        }
        let mut response = transport.send(request)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && self.length > 0 {
            return self.fail_and_start_over(FailureCause::NotResumable);
        }
        response.require_success()?;
        let announced = self.prepare(&response)?;
        self.page = None;
        if response.is_html() {
            self.found_page(response.web_page())?;
        }
        self.check_announced(announced)?;
        let end = announced.or(self.expected.size);
        if self.task.is_none() {
            let task = self.progress.start(&file_name(self.url), end);
            task.advance(self.length);
            self.task = Some(task);
        }
        while let Some(chunk) = response.next_chunk()? {
            if self.length == 0 && is_html(&chunk) {
                self.found_page(response.web_page())?;
            }
            self.add(&chunk)?;
        }
        match end {
            Some(size) if self.length < size => {
                Err(FailureCause::Truncated { received: self.length, size }.into())
            }
            _ => Ok(()),
        }
    }

    /// Fails unless an expected hash will show whether the page is the file.
    fn found_page(&mut self, page: WebPage) -> Result<(), TryError> {
        if self.expected.sha256.is_none() {
            return self.fail_and_start_over(FailureCause::WebPage(page));
        }
        self.page = Some(page);
        Ok(())
    }

    /// Positions the file where the response's body belongs. Returns the size of the whole file, if the server
    /// announces it.
    fn prepare(&mut self, response: &Response<'_>) -> Result<Option<u64>, TryError> {
        if response.status() == StatusCode::PARTIAL_CONTENT {
            return match response.content_range() {
                Some((first, last, total)) if first == self.length && last >= first => {
                    self.file.seek(SeekFrom::Start(first)).map_err(self.write_error())?;
                    self.is_resumed = first > 0;
                    Ok(total.or(response.length().map(|rest| first.saturating_add(rest))))
                }
                _ => self.fail_and_start_over(FailureCause::OtherRange),
            };
        }
        self.start_over().map_err(self.write_error())?;
        let origin = PartialOrigin { url: without_credentials(self.url), etag: response.strong_etag() };
        // If this file cannot be written, the next run starts over instead of resuming.
        let _ = serde_json::to_vec(&origin).map(|json| std::fs::write(self.origin_path(), json));
        Ok(response.length())
    }

    fn check_announced(&self, announced: Option<u64>) -> Result<(), FailureCause> {
        match (announced, self.expected.size) {
            (Some(found), Some(expected)) if found != expected => Err(FailureCause::Size { found, expected }),
            _ => Ok(()),
        }
    }

    fn add(&mut self, chunk: &[u8]) -> Result<(), TryError> {
        let length = self.length + chunk.len() as u64;
        if let Some(size) = self.expected.size.filter(|size| length > *size) {
            return self.fail_and_start_over(FailureCause::Longer(size));
        }
        self.file.write_all(chunk).map_err(self.write_error())?;
        self.hasher.update(chunk);
        self.length = length;
        if let Some(task) = &self.task {
            task.advance(chunk.len() as u64);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(Sha256, u64), TryError> {
        let (found, size) = (self.hasher.clone().finish(), self.length);
        let compared = self.expected.sha256.map_or(Ok(()), |expected| require_equal(expected, found));
        if let Err(mismatch) = compared {
            // The resumed part may belong to another version: try once without it.
            let cause = if self.is_resumed { FailureCause::ResumedDigest } else { mismatch.into() };
            return self.fail_and_start_over(cause);
        }
        if let Some(task) = self.task.take() {
            task.finish();
        }
        Ok((found, size))
    }

    fn fail_and_start_over<T>(&mut self, cause: FailureCause) -> Result<T, TryError> {
        self.start_over().map_err(self.write_error())?;
        Err(cause.into())
    }

    fn start_over(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256Hasher::default();
        self.length = 0;
        self.is_resumed = false;
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

    fn write_error(&self) -> impl FnOnce(std::io::Error) -> FileError + use<> {
        FileError::new("write", &self.path)
    }
}

/// Whether content starts as HTML does. Some servers send pages with another content type.
fn is_html(start: &[u8]) -> bool {
    let start = start.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag.as_bytes())))
}
