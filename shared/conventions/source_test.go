// Package conventions_test holds the whole project to what no compiler checks:
// which part imports which, what a function may not reach for, and that its
// settings are those that its manifest gives. It reads source files only, so it
// needs no other module to build.
package conventions_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root    = "../.."
	project = "github.com/orderflow-project/orderflow/"
)

// file is a Go file of the project.
type file struct {
	// dir is its package's folder, seen from the project: "shared/stage".
	dir  string
	name string
	tree *ast.File
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// imports are the paths that the file imports, by the names it has for them.
func (f file) imports() map[string]string {
	paths := map[string]string{}
	for _, spec := range f.tree.Imports {
		// The parser has checked that it is a string.
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		paths[name] = imported
	}
	return paths
}

var positions = token.NewFileSet()

func sources(t *testing.T) []file {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parsed reads the project once for all tests. Most of it is outside of this
// module, where go test doesn't see changes: make test runs with -count=1.
var parsed = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && at != root && (strings.HasPrefix(name, ".") || name == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		tree, err := parser.ParseFile(positions, at, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(at))
		files = append(files, file{dir: filepath.ToSlash(dir), name: entry.Name(), tree: tree})
		return err
	})
	return files, err
})

// parse makes a file of a text, to try a rule on.
func parse(t *testing.T, text string) file {
	t.Helper()
	tree, err := parser.ParseFile(positions, "example.go", text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file{dir: "functions/example", name: "example.go", tree: tree}
}
