package page

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/asset"
	"github.com/orderflow-project/orderflow/shared/locale"
)

// Everything that the pages say is said in every language, with the same places
// for what belongs into it; and no language says what no page does.
func TestEveryLanguageSaysTheSame(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	inTemplates(t, said)
	inCode(t, said)
	inRefusals(said)
	if len(said) < 100 {
		t.Fatalf("found %d texts, which proves nothing", len(said))
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for _, in := range locale.All()[1:] {
		words, err := readWords(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range slices.Sorted(maps.Keys(said)) {
			translated, there := words[text]
			if !there {
				t.Errorf("%s doesn't say %q", in.Code(), text)
			} else if !slices.Equal(verbs.FindAllString(text, -1), verbs.FindAllString(translated, -1)) {
				t.Errorf("%s says %q for %q, with other verbs", in.Code(), translated, text)
			}
		}
		for text := range words {
			if !said[text] {
				t.Errorf("%s says %q, which no page does", in.Code(), text)
			}
		}
	}
}

// inTemplates finds the texts that templates give to t.
func inTemplates(t *testing.T, said map[string]bool) {
	t.Helper()
	tongues, err := loadTongues()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := loadPages(asset.Files{}, tongues[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, one := range page.Templates() {
			inNode(one.Tree.Root, said)
		}
	}
}

func inNode(node parse.Node, said map[string]bool) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, one := range n.Nodes {
				inNode(one, said)
			}
		}
	case *parse.ActionNode:
		inNode(n.Pipe, said)
	case *parse.IfNode:
		inBranch(&n.BranchNode, said)
	case *parse.RangeNode:
		inBranch(&n.BranchNode, said)
	case *parse.WithNode:
		inBranch(&n.BranchNode, said)
	case *parse.PipeNode:
		if n != nil {
			for _, command := range n.Cmds {
				inCommand(command, said)
			}
		}
	case *parse.TemplateNode:
		inNode(n.Pipe, said)
	}
}

func inBranch(n *parse.BranchNode, said map[string]bool) {
	inNode(n.Pipe, said)
	inNode(n.List, said)
	inNode(n.ElseList, said)
}

func inCommand(command *parse.CommandNode, said map[string]bool) {
	name, named := command.Args[0].(*parse.IdentifierNode)
	for i, arg := range command.Args[1:] {
		if text, literal := arg.(*parse.StringNode); literal && named {
			label := name.Ident == "input" || name.Ident == "optional"
			if name.Ident == "t" && i == 0 || label && i == 2 {
				said[text.Text] = true
			}
		}
		inNode(arg, said)
	}
}

// inCode finds what the code says itself: say("...") and problem.Malformed("...").
func inCode(t *testing.T, said map[string]bool) {
	t.Helper()
	files, err := parser.ParseDir(token.NewFileSet(), ".", func(file fs.FileInfo) bool { //nolint:staticcheck // build tags make no difference here
		return !strings.HasSuffix(file.Name(), "_test.go")
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(files["page"], func(node ast.Node) bool {
		call, isCall := node.(*ast.CallExpr)
		if !isCall || len(call.Args) == 0 {
			return true
		}
		name := ""
		switch callee := call.Fun.(type) {
		case *ast.Ident:
			name = callee.Name
		case *ast.SelectorExpr:
			name = callee.Sel.Name
		}
		literal, isLiteral := call.Args[0].(*ast.BasicLit)
		if isLiteral && (name == "say" || name == "Malformed") {
			text, _ := strconv.Unquote(literal.Value)
			said[text] = true
		}
		return true
	})
}

// inRefusals are what other packages say of what pages are asked for.
func inRefusals(said map[string]bool) {
	for _, one := range []problem.Problem{
		problem.Malformed(""), problem.NotFound(), problem.TooMany(), problem.Unavailable(), problem.Unsure(),
		problem.Of(checkout.ErrPriceChanged), problem.Of(errors.New("ours")),
	} {
		said[one.Title] = true
	}
	said[problem.Of(checkout.ErrPriceChanged).Detail] = true
	long := strings.Repeat("x", 300)
	for _, value := range []string{"", "!", long, "a\x00b"} {
		for _, one := range checkout.Validate(checkout.Request{
			Customer:        checkout.Customer{Name: value, Email: value},
			ShippingAddress: checkout.Address{Line1: value, Line2: value, City: value, PostalCode: value, Country: value},
			PaymentMethod:   value, Lines: []checkout.Line{{SKU: "A-1", Quantity: 1}},
		}) {
			said[one.Detail] = true
		}
	}
}
