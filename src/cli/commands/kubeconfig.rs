//! `kubeconfig`

use super::options;
use crate::cli::args::SharedOptions;
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(shared: &SharedOptions, merge: bool, force: bool, progress: &dyn Progress) -> Result<()> {
    let options = options(shared, None, None);
    if !merge {
        let kubeconfig = project::kubeconfig(options, progress)?;
        return if shared.json { json(kubeconfig.json()) } else { print(kubeconfig.text()) };
    }
    let merged = project::merge_kubeconfig(options, force, progress)?;
    if shared.json {
        return json(&merged);
    }
    let context = &merged.context;
    progress.note(&format!("merged as context `{context}`: try `kubectl --context {context} get nodes`"));
    print(format!("{}\n", merged.file))
}
