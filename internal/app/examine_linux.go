package app

import "golang.org/x/sys/unix"

// fileSystem names the file system that holds a folder, and says why it should
// not hold data. Both are empty when there is nothing to say.
func fileSystem(dir string) (kind, why string) {
	const (
		network   = "locks and syncs of network file systems cannot be relied on"
		ephemeral = "it is gone with the container"
		memory    = "it is gone with the next boot"
	)
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "", ""
	}
	switch uint32(s.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS", network
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB", network
	case unix.V9FS_MAGIC:
		return "9P", network
	case unix.CEPH_SUPER_MAGIC:
		return "CephFS", network
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", "whether it locks and syncs depends on what is behind it"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay", ephemeral
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs", memory
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", ""
	case unix.XFS_SUPER_MAGIC:
		return "xfs", ""
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", ""
	}
	return "", ""
}

// clockSynchronised says whether a time service keeps the clock; known is
// false when the kernel does not tell.
func clockSynchronised() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}
