//! One node's image with its checksum and its manifest: written, read back, hashed and compressed under
//! temporary names, and renamed together at the end.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inputs::Base;
use crate::digest::Sha256;
use crate::error::{FileError, Result};
use crate::files::atomic::{self, Access, Staged};
use crate::files::hash;
use crate::image::{self, Resolved};
use crate::output::compress::{self, BaseBlocks, ImageFormat};
use crate::output::manifest::{self, BaseRecord, FileRecord, Manifest};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::text;

/// What all images of one build have in common.
pub(super) struct NodeImages<'a> {
    pub(super) base: &'a Base,
    pub(super) out_dir: &'a Path,
    pub(super) format: ImageFormat,
    /// The folder for compressed blocks of the base.
    pub(super) block_cache: PathBuf,
    pub(super) cluster: &'a str,
    /// In the order of application.
    pub(super) overlays: Vec<String>,
    pub(super) progress: &'a dyn Progress,
}

#[derive(Debug, serde::Serialize)]
pub(crate) struct BuiltImage {
    pub(crate) node: String,
    #[serde(serialize_with = "text::serialize_path")]
    pub(crate) image: PathBuf,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    #[serde(serialize_with = "text::serialize_path")]
    pub(crate) manifest: PathBuf,
}

impl NodeImages<'_> {
    /// Builds the image of `plan`, its checksum and its manifest. An error leaves no file.
    pub(super) fn build(&self, plan: &Plan, threads: usize) -> Result<BuiltImage> {
        let name = format!("magi-{}.img", plan.node);
        // A killed build with another format may have left a partial file, which holds secrets.
        for format in [ImageFormat::Xz, ImageFormat::Zst, ImageFormat::Gz] {
            atomic::sweep(&self.out_dir.join(format!("{name}.{}", format.extension())));
        }
        let raw = Staged::create(&self.out_dir.join(&name), Access::Private)?;
        let resolved = self.write(plan, &raw)?;
        let size = resolved.disk.size;
        let task = self.progress.start(&format!("{}: hashing", plan.node), Some(size));
        let sha256 = hash::of_sparse(raw.file(), &*task).map_err(FileError::new("read", raw.path()))?;
        task.finish();
        let image = FileRecord { file: name.clone(), size, sha256 };
        let (image_file, compressed) = if self.format == ImageFormat::Raw {
            (raw, None)
        } else {
            let (file, record) = self.compress(plan, &raw, (&name, size), threads)?;
            (file, Some(record))
        };
        let published = compressed.clone().unwrap_or_else(|| image.clone());
        let line = format!("{}  {}\n", published.sha256, published.file);
        let mut outputs = vec![self.text(&format!("{}.sha256", published.file), &line)?];
        let manifest = self.manifest(plan, &resolved, image, compressed);
        let manifest_name = format!("magi-{}.manifest.json", plan.node);
        outputs.push(self.text(&manifest_name, &manifest.to_json()?)?);
        outputs.push(image_file);
        atomic::commit_all(outputs)?;
        Ok(BuiltImage {
            node: plan.node.clone(),
            image: self.out_dir.join(&published.file),
            size: published.size,
            sha256: published.sha256,
            manifest: self.out_dir.join(manifest_name),
        })
    }

    /// Clones the base into `raw`, applies the plan and reads it back.
    fn write(&self, plan: &Plan, raw: &Staged) -> Result<Resolved> {
        let path = &self.base.prepared.raw_path;
        let base = Arc::new(File::open(path).map_err(FileError::new("read", path))?);
        let resolved = image::resolve(&base, &self.base.survey, plan)?;
        let file = raw.file().try_clone().map_err(FileError::new("write", raw.path()))?;
        image::write(&base, &Arc::new(file), &self.base.survey, &plan.node, &resolved, self.progress)?;
        Ok(resolved)
    }

    fn compress(
        &self,
        plan: &Plan,
        raw: &Staged,
        (name, size): (&str, u64),
        threads: usize,
    ) -> Result<(Staged, FileRecord)> {
        let file_name = format!("{name}.{}", self.format.extension());
        let target = Staged::create(&self.out_dir.join(&file_name), Access::Private)?;
        let prepared = &self.base.prepared;
        let task = self.progress.start(&format!("{}: compressing", plan.node), Some(size));
        let file = File::open(&prepared.raw_path).map_err(FileError::new("read", &prepared.raw_path))?;
        let base = BaseBlocks { file: &file, sha256: prepared.raw_sha256, cache_folder: &self.block_cache };
        let done = compress::compress(raw.file(), target.file(), self.format, threads, &base, &*task)?;
        task.finish();
        Ok((target, FileRecord { file: file_name, size: done.size, sha256: done.sha256 }))
    }

    fn text(&self, name: &str, text: &str) -> Result<Staged> {
        let path = self.out_dir.join(name);
        let staged = Staged::create(&path, Access::Private)?;
        staged.file().write_all(text.as_bytes()).map_err(FileError::new("write", &path))?;
        Ok(staged)
    }

    fn manifest(
        &self,
        plan: &Plan,
        resolved: &Resolved,
        image: FileRecord,
        compressed: Option<FileRecord>,
    ) -> Manifest {
        let base = &self.base.prepared;
        Manifest {
            format: manifest::FORMAT,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.cluster.to_owned(),
            node: plan.node.clone(),
            sample: base.sample,
            base: BaseRecord {
                name: base.name.clone(),
                source: base.source.clone(),
                sha256: base.source_sha256,
                size: base.source_size,
                raw_sha256: base.raw_sha256,
                raw_size: base.raw_size,
            },
            image,
            compressed,
            overlays: self.overlays.clone(),
            disk: Some(resolved.disk.expected()),
            edits: resolved.writes.iter().map(|w| w.expected.clone().masked()).collect(),
        }
    }
}
