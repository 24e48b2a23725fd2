//! Words for the kernel and lines for the Pi's firmware, written where they last: on the FAT, and in the file from which
//! some bases regenerate that of the FAT.

use super::{OverlayOnNode, PlanError, Result};
use crate::overlay::spec::BootSpec;
use crate::plan::{Action, Area, BaseFacts, Edit, Patch};

/// The firmware ignores what follows in a line of `config.txt`
/// (<https://www.raspberrypi.com/documentation/computers/config_txt.html>).
const MAX_FIRMWARE_LINE: usize = 98;
/// arm64's `COMMAND_LINE_SIZE` is 2048 bytes for all words together (Linux, `arch/arm64/include/uapi/asm/setup.h`).
const MAX_KERNEL_WORD: usize = 1024;

/// The edits that add `words` to the kernel's command line; none without words.
pub(super) fn kernel_words(base: &BaseFacts, overlay: &str, words: &[String]) -> Vec<Edit> {
    edits(overlay, "/cmdline.txt", base.kernel_words_file, words, Patch::KernelWords)
}

fn firmware_lines(base: &BaseFacts, overlay: &str, lines: &[String]) -> Vec<Edit> {
    edits(overlay, "/config.txt", base.firmware_lines_file, lines, Patch::FirmwareLines)
}

fn edits(
    overlay: &str,
    on_fat: &str,
    lasting: Option<&str>,
    settings: &[String],
    patch: fn(Vec<String>) -> Patch,
) -> Vec<Edit> {
    if settings.is_empty() {
        return Vec::new();
    }
    let places = [(Area::Boot, on_fat)].into_iter().chain(lasting.map(|path| (Area::Root, path)));
    let edit = |(area, path): (Area, &str)| Edit {
        area,
        path: path.to_owned(),
        overlay: overlay.to_owned(),
        action: Action::Patch(patch(settings.to_vec())),
        secret: false,
    };
    places.map(edit).collect()
}

impl OverlayOnNode<'_> {
    /// What `[[kernel]]` and `[[firmware]]` add.
    pub(super) fn boot_settings(&self, base: &BaseFacts) -> Result<Vec<Edit>> {
        let spec = &self.overlay.spec;
        let words = self.rendered(&spec.kernel_words, check_word)?;
        let lines = self.rendered(&spec.firmware_lines, check_line)?;
        let mut edits = kernel_words(base, &self.overlay.name, &words);
        edits.extend(firmware_lines(base, &self.overlay.name, &lines));
        Ok(edits)
    }

    /// The settings of `specs`; those that render to nothing are left out.
    fn rendered(&self, specs: &[BootSpec], check: Check) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for spec in specs {
            if !self.scope.when(spec.when.as_ref())? {
                continue;
            }
            for template in &spec.settings {
                let setting = self.scope.text(template)?.trim().to_owned();
                if setting.is_empty() {
                    continue;
                }
                check(&setting).map_err(|problem| PlanError::from(self.scope.error(template.at, problem)))?;
                all.push(setting);
            }
        }
        Ok(all)
    }
}

type Check = fn(&str) -> std::result::Result<(), &'static str>;

fn check_word(word: &str) -> std::result::Result<(), &'static str> {
    if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a word for the kernel must be ASCII without blanks");
    }
    if word.len() > MAX_KERNEL_WORD {
        return Err("a word for the kernel has more than 1024 bytes");
    }
    if word.starts_with("root=") {
        return Err("`root=` is set by the base image");
    }
    if word == "--" {
        return Err("`--` would end the kernel's words");
    }
    Ok(())
}

fn check_line(line: &str) -> std::result::Result<(), &'static str> {
    if !line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err("a line of `config.txt` must be ASCII without line breaks");
    }
    if line.starts_with('[') {
        return Err("a section is not allowed: the lines hold for every board");
    }
    if line.len() > MAX_FIRMWARE_LINE {
        return Err("the firmware reads only 98 bytes of a line of `config.txt`");
    }
    Ok(())
}
