package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

const (
	// maxLogSize is where a log file makes room for the next; with the one
	// before kept, a process takes at most twice that.
	maxLogSize = 16 << 20
	// maxLine bounds what is held back of a line that doesn't end.
	maxLine = 64 << 10
)

// logFile is a process's log, bounded in size.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
}

func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	return l, l.open()
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write appends to the log. A log that can't be written is no reason to stop
// the process it is of, so there is never an error.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > maxLogSize {
		l.rotate()
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

func (l *logFile) rotate() {
	_ = l.file.Close()
	_ = os.Rename(l.path, l.path+".1")
	_ = l.open()
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// lineWriter copies what a process writes to its log and hands it on by lines.
type lineWriter struct {
	name string
	line func(name, line string)
	log  *logFile
	rest []byte
}

// Write implements io.Writer; os/exec calls it from one goroutine at a time.
func (w *lineWriter) Write(p []byte) (int, error) {
	_, _ = w.log.Write(p)
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte{'\n'})
		if !found && len(w.rest) < maxLine {
			return len(p), nil
		}
		w.line(w.name, string(bytes.TrimRight(line, "\r")))
		w.rest = rest
	}
}
