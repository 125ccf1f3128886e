package disk

// syncDir does nothing: Windows cannot flush a folder. NTFS journals the rename,
// so after a power failure the path leads to the old file or to the new one,
// but which of them is not decided when WriteFile returns.
func syncDir(string) error { return nil }
