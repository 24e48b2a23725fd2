//! Builds images: clone, apply, read back, hash, compress, and only then give them their names.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::resolve::{Ground, Step, resolve};
use super::{Volumes, apply, clone, readback};
use crate::base::facts::Survey;
use crate::disk::{ext4, fat};
use crate::error::{Context as _, FileError, Result};
use crate::output::compress::{self, Format, Origin};
use crate::output::digest;
use crate::output::human;
use crate::output::manifest::{self, BaseRecord, FileRecord, Manifest};
use crate::output::staged::{self, Staged};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::project::Base;

/// What all images of a build share.
pub struct Job<'a> {
    /// The base they start from.
    pub base: &'a Base,
    /// Where they go.
    pub out_dir: &'a Path,
    /// Their form.
    pub format: Format,
    /// How many threads, over all nodes.
    pub jobs: usize,
    /// Where compressed blocks of the base are kept.
    pub block_cache: PathBuf,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The overlays, in order.
    pub overlays: Vec<String>,
    /// Where progress is told.
    pub progress: &'a dyn Progress,
}

/// A finished image.
#[derive(Debug, serde::Serialize)]
pub struct Built {
    /// The node's name.
    pub node: String,
    /// The image's file.
    #[serde(serialize_with = "human::path")]
    pub image: PathBuf,
    /// In bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Its manifest.
    #[serde(serialize_with = "human::path")]
    pub manifest: PathBuf,
}

/// Whether `plan` could be written into `base`: what only a build would find otherwise.
pub fn fits(base: &Base, plan: &Plan) -> Result<()> {
    let path = &base.prepared.raw_path;
    let file = Arc::new(File::open(path).map_err(FileError::new("read", path))?);
    let doing = || format!("planning the image of `{}`", plan.node);
    steps(&file, &base.survey, plan).map(drop).while_doing(doing)
}

fn steps(base: &Arc<File>, survey: &Survey, plan: &Plan) -> Result<Vec<Step>> {
    let volumes = Volumes::read_only(base, &survey.layout)?;
    let boot = fat::Reader::open(volumes.boot)?;
    let root = ext4::Reader::open(&volumes.root)?;
    resolve(plan, &Ground { boot: &boot, root: &root })
}

impl Job<'_> {
    /// Builds every plan's image, several at once; the first error ends the rest.
    pub fn run(&self, plans: &[Plan]) -> Result<Vec<Built>> {
        std::fs::create_dir_all(self.out_dir).map_err(FileError::new("create", self.out_dir))?;
        let workers = self.jobs.clamp(1, plans.len().max(1));
        let threads = (self.jobs / workers).max(1);
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Built)>> {
            let mut built = Vec::new();
            while let Some((index, plan)) = take(plans, &next) {
                let doing = || format!("building the image of `{}`", plan.node);
                let outcome = self.one(plan, threads).while_doing(doing);
                if outcome.is_err() {
                    // The others take nothing more.
                    next.store(plans.len(), Ordering::Relaxed);
                }
                built.push((index, outcome?));
            }
            Ok(built)
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            handles
                .into_iter()
                .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut built: Vec<_> =
            outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        built.sort_by_key(|(index, _)| *index);
        Ok(built.into_iter().map(|(_, built)| built).collect())
    }

    fn one(&self, plan: &Plan, threads: usize) -> Result<Built> {
        let name = format!("magi-{}.img", plan.node);
        // What a killed build left behind may hold secrets, in whichever form it was to be.
        for format in [Format::Xz, Format::Zst, Format::Gz] {
            staged::sweep(&self.out_dir.join(format!("{name}.{}", format.extension())));
        }
        let raw = Staged::create(&self.out_dir.join(&name))?;
        let steps = self.write(plan, &raw)?;
        let task = self.progress.start(&format!("{}: hashing", plan.node), Some(self.base.prepared.raw_size));
        let sum = digest::sha256_file(raw.file(), &*task)?;
        task.finish();
        let image =
            FileRecord { file: name.clone(), size: self.base.prepared.raw_size, sha256: sum.to_string() };
        let (image_file, compressed) = if self.format == Format::Raw {
            (raw, None)
        } else {
            let (file, record) = self.compress(plan, &raw, &name, threads)?;
            (file, Some(record))
        };
        let published = compressed.clone().unwrap_or_else(|| image.clone());
        let line = format!("{}  {}\n", published.sha256, published.file);
        let mut outputs = vec![self.text(&format!("{}.sha256", published.file), &line)?];
        let manifest = self.manifest(plan, &steps, image, compressed);
        let manifest_name = format!("magi-{}.manifest.json", plan.node);
        outputs.push(self.text(&manifest_name, &manifest.to_json())?);
        outputs.push(image_file);
        staged::commit_all(outputs)?;
        Ok(Built {
            node: plan.node.clone(),
            image: self.out_dir.join(&published.file),
            size: published.size,
            sha256: published.sha256,
            manifest: self.out_dir.join(manifest_name),
        })
    }

    /// Clones the base into `image`, applies the plan and reads it back.
    fn write(&self, plan: &Plan, image: &Staged) -> Result<Vec<Step>> {
        let Base { prepared, survey } = self.base;
        let node = &plan.node;
        let base =
            Arc::new(File::open(&prepared.raw_path).map_err(FileError::new("read", &prepared.raw_path))?);
        let steps = steps(&base, survey, plan)?;
        let task = self.progress.start(&format!("{node}: copying"), Some(prepared.raw_size));
        clone::clone_into(&base, image.file(), &*task)?;
        task.finish();
        let file = Arc::new(image.file().try_clone().map_err(FileError::new("write", image.path()))?);
        let content: u64 = steps.iter().map(Step::size).sum();
        let task = self.progress.start(&format!("{node}: writing"), Some(content));
        apply::apply(Volumes::writable(&file, &survey.layout)?, &steps, survey.stamp, &*task)?;
        task.finish();
        let expected: Vec<_> = steps.iter().map(|s| s.expected.clone()).collect();
        let task = self.progress.start(&format!("{node}: reading back"), None);
        readback::require(&Volumes::read_only(&file, &survey.layout)?, &expected)
            .while_doing(|| "reading the image back".into())?;
        task.finish();
        Ok(steps)
    }

    fn compress(
        &self,
        plan: &Plan,
        raw: &Staged,
        name: &str,
        threads: usize,
    ) -> Result<(Staged, FileRecord)> {
        let file_name = format!("{name}.{}", self.format.extension());
        let target = Staged::create(&self.out_dir.join(&file_name))?;
        let label = format!("{}: compressing", plan.node);
        let task = self.progress.start(&label, Some(self.base.prepared.raw_size));
        let path = &self.base.prepared.raw_path;
        let file = File::open(path).map_err(FileError::new("read", path))?;
        let base = Origin { file: &file, sha256: self.base.prepared.raw_sha256, kept: &self.block_cache };
        let done = compress::compress(raw.file(), target.file(), self.format, threads, &base, &*task)?;
        task.finish();
        let record = FileRecord { file: file_name, size: done.size, sha256: done.sha256.to_string() };
        Ok((target, record))
    }

    fn text(&self, name: &str, text: &str) -> Result<Staged> {
        let path = self.out_dir.join(name);
        let staged = Staged::create(&path)?;
        staged.file().write_all(text.as_bytes()).map_err(FileError::new("write", &path))?;
        Ok(staged)
    }

    fn manifest(
        &self,
        plan: &Plan,
        steps: &[Step],
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
                sha256: base.source_sha256.to_string(),
                size: base.source_size,
                raw_sha256: base.raw_sha256.to_string(),
                raw_size: base.raw_size,
            },
            image,
            compressed,
            overlays: self.overlays.clone(),
            edits: steps.iter().map(|s| s.expected.clone().masked()).collect(),
        }
    }
}

fn take<'p>(plans: &'p [Plan], next: &AtomicUsize) -> Option<(usize, &'p Plan)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    plans.get(index).map(|plan| (index, plan))
}
