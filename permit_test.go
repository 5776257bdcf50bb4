package footbridge_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const permitType = "footbridge/identity/consent.Permit"

// needsNoPermit lists the only ways to a write that leaves the machine without a permit in hand, and why each is none of
// anybody's words. Whoever adds a line here has to explain it to the people whose posts these are.
var needsNoPermit = map[string]string{
	"(*footbridge/bridge/web.Pages).call":              "signing in at the person's own server, at their own request; the bridge registers itself and gives the token back",
	"(*footbridge/atproto.Client).RequestCrawl":        "names this bridge's own host to a relay, and nobody on it",
	"(*footbridge/atproto/pds.Host).RepeatStatus":      "repeats what a permit already allowed, for relays that missed it",
	"(*footbridge/atproto/pds.Host).Sync":              "names the commit that a permit already allowed, for relays that missed it",
	"(*footbridge/atproto/pds.Host).Restored":          "brings a restored repo back to the state that it was published in",
	"(*footbridge/atproto/pds.Host).Import":            "takes in a repo that nobody is told of; activating it asks the gate",
	"(*footbridge/atproto/pds.Host).deactivateAccount": "a member who moves out hides their own repo here; hiding needs no leave",
}

// callGraph knows who mentions whom, by full name: calls, and functions handed over as values. A call through an interface
// counts for every method of that name with that signature.
type callGraph struct {
	callers   map[string]map[string]bool
	carries   map[string]bool // takes a permit, or asks for one itself
	sinks     map[string]string
	byMethod  map[string][]string
	interests map[string]string // interface method used -> key in byMethod
}

// TestR1_EveryWriteTakesAPermit walks the call graph upwards from everything that can write to another machine (a request
// that is not a GET, an event in the repo host's log) and wants a permit on every way.
func TestR1_EveryWriteTakesAPermit(t *testing.T) {
	g := loadGraph(t)
	if len(g.sinks) < 4 {
		t.Fatalf("only %d ways to write were found; the test tests nothing: %v", len(g.sinks), g.sinks)
	}
	for _, sink := range slices.Sorted(maps.Keys(g.sinks)) {
		for _, way := range g.unpermitted(sink) {
			t.Errorf("%s (%s) can be reached without a permit: %s", sink, g.sinks[sink], strings.Join(way, " <- "))
		}
	}
}

// unpermitted are the ways up from a sink that end without having met a permit.
func (g *callGraph) unpermitted(sink string) [][]string {
	var out [][]string
	seen := map[string]bool{}
	var up func(way []string)
	up = func(way []string) {
		at := way[len(way)-1]
		if seen[at] || g.carries[at] || needsNoPermit[at] != "" {
			return
		}
		seen[at] = true
		callers := slices.Sorted(maps.Keys(g.callers[at]))
		if len(callers) == 0 {
			out = append(out, way)
		}
		for _, c := range callers {
			up(append(slices.Clone(way), c))
		}
	}
	up([]string{sink})
	return out
}

func loadGraph(t *testing.T) *callGraph {
	t.Helper()
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports
	pkgs, err := packages.Load(&packages.Config{Mode: mode}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	g := &callGraph{callers: map[string]map[string]bool{}, carries: map[string]bool{}, sinks: map[string]string{}, byMethod: map[string][]string{}, interests: map[string]string{}}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		if strings.HasSuffix(p.PkgPath, "test") { // fakes write to each other
			continue
		}
		for _, f := range p.Syntax {
			g.file(p, f)
		}
	}
	g.joinInterfaces()
	return g
}

func (g *callGraph) file(p *packages.Package, f *ast.File) {
	for _, d := range f.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Body == nil {
			continue
		}
		fn, ok := p.TypesInfo.Defs[fd.Name].(*types.Func)
		if !ok {
			continue
		}
		name := fn.FullName()
		sig := fn.Signature()
		g.carries[name] = takesPermit(sig)
		if sig.Recv() != nil {
			key := methodKey(fn)
			g.byMethod[key] = append(g.byMethod[key], name)
		}
		ast.Inspect(fd.Body, func(n ast.Node) bool {
			g.node(p, name, n)
			return true
		})
	}
}

func methodKey(fn *types.Func) string {
	sig := fn.Signature()
	return fn.Name() + types.TypeString(types.NewSignatureType(nil, nil, nil, sig.Params(), sig.Results(), sig.Variadic()), nil)
}

func takesPermit(sig *types.Signature) bool {
	for v := range sig.Params().Variables() {
		if v.Type().String() == permitType {
			return true
		}
	}
	return false
}

func (g *callGraph) node(p *packages.Package, caller string, n ast.Node) {
	switch x := n.(type) {
	case *ast.Ident:
		fn, ok := p.TypesInfo.Uses[x].(*types.Func)
		if !ok || fn.Pkg() == nil || !strings.HasPrefix(fn.Pkg().Path(), "footbridge") {
			return
		}
		name := fn.Origin().FullName()
		if recv := fn.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
			g.interests[name] = methodKey(fn)
			if fn.Name() == "EventAppend" {
				g.sinks[caller] = "an event in the repo host's log"
			}
		}
		if g.callers[name] == nil {
			g.callers[name] = map[string]bool{}
		}
		if name != caller {
			g.callers[name][caller] = true
		}
	case *ast.CallExpr:
		if asksForPermit(p, x) {
			g.carries[caller] = true
		}
		if method, ok := requestMethod(p, x); ok && method != "GET" && method != "HEAD" {
			g.sinks[caller] = fmt.Sprintf("a %s request", method)
		}
	}
}

// asksForPermit: a call that gives a permit is one of the gate.
func asksForPermit(p *packages.Package, call *ast.CallExpr) bool {
	t := p.TypesInfo.TypeOf(call)
	if tuple, ok := t.(*types.Tuple); ok && tuple.Len() > 0 {
		t = tuple.At(0).Type()
	}
	return t != nil && t.String() == permitType
}

// requestMethod is the method that a call makes a request with, "unknown" if that is decided elsewhere.
func requestMethod(p *packages.Package, call *ast.CallExpr) (string, bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	fn, ok := p.TypesInfo.Uses[sel.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "net/http" {
		return "", false
	}
	arg := map[string]int{"NewRequest": 0, "NewRequestWithContext": 1}
	at, ok := arg[fn.Name()]
	if !ok {
		shortcut := fn.Name() == "Post" || fn.Name() == "PostForm"
		return "POST", shortcut
	}
	if v := p.TypesInfo.Types[call.Args[at]].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	return "unknown", true
}

// joinInterfaces makes callers of an interface's method callers of everything that may stand behind it.
func (g *callGraph) joinInterfaces() {
	for iface, key := range g.interests {
		for _, impl := range g.byMethod[key] {
			if g.callers[impl] == nil {
				g.callers[impl] = map[string]bool{}
			}
			maps.Copy(g.callers[impl], g.callers[iface])
		}
	}
}
