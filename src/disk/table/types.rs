//! Names of the partition types that disk images for small computers use, as `fdisk` prints them.

/// The name of an MBR type.
pub(super) fn of_mbr(id: u8) -> &'static str {
    match id {
        0x01 => "FAT12",
        0x04 | 0x06 => "FAT16",
        0x0e => "FAT16 (LBA)",
        0x0b => "FAT32",
        0x0c => "FAT32 (LBA)",
        0x07 => "NTFS or exFAT",
        0x05 | 0x85 => "extended",
        0x0f => "extended (LBA)",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8e => "Linux LVM",
        0xda => "non-FS data",
        0xef => "EFI system",
        0xfd => "Linux RAID",
        _ => "unknown",
    }
}

/// Whether an MBR type is a container of logical partitions.
pub(super) fn is_extended(id: u8) -> bool {
    matches!(id, 0x05 | 0x0f | 0x85)
}

/// The name of a GPT type, given in lower case.
pub(super) fn of_gpt(guid: &str) -> &'static str {
    match guid {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => "EFI system",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "Microsoft basic data",
        "21686148-6449-6e6f-744e-656564454649" => "BIOS boot",
        "0fc63daf-8483-4772-8e79-3d69d8477de4" => "Linux file system",
        "b921b045-1df0-41c3-af44-4c6f280d3fae" => "Linux root (ARM-64)",
        "69dad710-2ce4-4e3c-b16c-21a1d49abed3" => "Linux root (ARM)",
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" => "Linux root (x86-64)",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172" => "Linux extended boot",
        "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" => "Linux swap",
        "933ac7e1-2eb4-4f13-b844-0e14e2aef915" => "Linux home",
        "e6d6d379-f507-44c2-a23c-238f2a3df928" => "Linux LVM",
        _ => "unknown",
    }
}
