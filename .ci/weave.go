//go:build ignore

// Weave puts bugs into the sources of packages, all of them at once, so that one build is enough
// for any number. Each sleeps until the environment names it.
//
//	go run weave.go TREE BUGS
//
// TREE is the tree, whose files are changed. BUGS has a folder for each bug, of its name, with those
// files of the tree that it changes, as they are with it. Where the body of a function is
// another there, that body is put before the one in the tree, under a condition:
//
//	func (f *feed) forkedAt() (int64, error) {
//		if museumBug == "sent-beyond-the-fork" {
//			return func() (int64, error) {
//				...
//			}()
//		}
//		...
//
// So a bug may change what functions do, and not what is declared: types, constants, imports.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// variable is what each package with bugs gets a copy of.
const variable = "package %s\n\nimport \"os\"\n\nvar museumBug = os.Getenv(\"MUSEUM_BUG\")\n"

// source is a file, and where its declarations are in it.
type source struct {
	text    []byte
	pkg     string
	decls   []ast.Decl
	nothing token.Pos // the position before the first byte
}

func read(path string) (*source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{text, parsed.Name.Name, parsed.Decls, parsed.FileStart}, nil
}

// between returns the text from one position to another.
func (s *source) between(from, to token.Pos) []byte { return s.text[from-s.nothing : to-s.nothing] }

// of returns the text of n, without the comment before it.
func (s *source) of(n ast.Node) []byte {
	if f, ok := n.(*ast.FuncDecl); ok {
		return s.between(f.Type.Func, f.End())
	}
	return s.between(n.Pos(), n.End())
}

// insertion is a bug's body, and the offset in the tree's file where it goes.
type insertion struct {
	at   int
	text string
}

// weave returns what puts the bug into the tree's file, whose text with the bug is in buggy.
func weave(bug string, tree, buggy *source) ([]insertion, error) {
	if len(tree.decls) != len(buggy.decls) {
		return nil, fmt.Errorf("it declares something, or takes a declaration out")
	}
	var all []insertion
	for i, decl := range tree.decls {
		if bytes.Equal(tree.of(decl), buggy.of(buggy.decls[i])) {
			continue
		}
		was, isFunc := decl.(*ast.FuncDecl)
		is, _ := buggy.decls[i].(*ast.FuncDecl)
		if !isFunc || is == nil || was.Body == nil || is.Body == nil ||
			!bytes.Equal(tree.between(was.Type.Func, was.Body.Pos()), buggy.between(is.Type.Func, is.Body.Pos())) {
			return nil, fmt.Errorf("it changes more than the body of a function: %.60s", buggy.of(buggy.decls[i]))
		}
		call := fmt.Sprintf("func() %s()\nreturn", buggy.of(is.Body))
		if r := is.Type.Results; r != nil {
			call = fmt.Sprintf("return func() %s %s()", buggy.of(r), buggy.of(is.Body))
		}
		all = append(all, insertion{
			int(was.Body.Lbrace + 1 - tree.nothing),
			fmt.Sprintf("\nif museumBug == %q {\n%s\n}\n", bug, call),
		})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it changes no function")
	}
	return all, nil
}

func run(tree, bugs string) error {
	sources, insertions := map[string]*source{}, map[string][]insertion{}
	err := filepath.WalkDir(bugs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(bugs, path)
		if err != nil {
			return err
		}
		bug, name, _ := strings.Cut(below, string(filepath.Separator))
		if sources[name] == nil {
			if sources[name], err = read(filepath.Join(tree, name)); err != nil {
				return err
			}
		}
		buggy, err := read(path)
		if err != nil {
			return err
		}
		all, err := weave(bug, sources[name], buggy)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", bug, name, err)
		}
		insertions[name] = append(insertions[name], all...)
		return nil
	})
	if err != nil {
		return err
	}
	for name, s := range sources {
		path := filepath.Join(tree, name)
		all := insertions[name]
		slices.SortStableFunc(all, func(a, b insertion) int { return b.at - a.at })
		for _, in := range all { // from the end on, so that offsets stay true
			s.text = slices.Insert(s.text, in.at, []byte(in.text)...)
		}
		if err := os.WriteFile(path, s.text, 0o644); err != nil {
			return err
		}
		own := filepath.Join(filepath.Dir(path), "museum_bug.go")
		if err := os.WriteFile(own, fmt.Appendf(nil, variable, s.pkg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: weave TREE BUGS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
