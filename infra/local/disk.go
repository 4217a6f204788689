package local

import "syscall"

// freeBytes is how much can still be written to the file system of dir.
func freeBytes(dir string) (free uint64, known bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, false
	}
	return stat.Bavail * uint64(stat.Bsize), true
}
