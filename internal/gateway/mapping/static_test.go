package mapping

import "testing"

func TestCompile(t *testing.T) {
	for text, runnable := range map[string]bool{
		"": true, `{"statusCode": 200}`: true, "$input.body": false, "#set($a = 1)": false, "costs 5 USD": true, "## note": false,
	} {
		if got := Compile(text); got.Runnable != runnable || got.Text != text {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestTemplatesAreChosenByMediaType(t *testing.T) {
	all := CompileAll(map[string]string{"application/json": "j", "Text/XML": "x"})
	for header, want := range map[string]string{
		"": "j", "application/json; charset=utf-8": "j", "TEXT/xml": "x", "text/plain": "",
	} {
		if tpl, ok := all.ForRequest(header); tpl.Text != want || ok != (want != "") {
			t.Errorf("Content-Type %q: %+v", header, tpl)
		}
	}
	for header, want := range map[string]string{
		"": "j", "text/xml;q=0.1, application/json": "x", "text/plain": "j", "*/*": "j",
	} {
		if tpl, _, ok := all.ForResponse(header); tpl.Text != want || !ok {
			t.Errorf("Accept %q: %+v", header, tpl)
		}
	}
	if _, media, _ := all.ForResponse("text/xml"); media != "text/xml" {
		t.Errorf("chosen type %q", media)
	}
	if _, _, ok := (Templates{}).ForResponse("*/*"); ok || CompileAll(nil).Len() != 0 {
		t.Error("an empty set has a template")
	}
}

func TestStatic(t *testing.T) {
	for value, want := range map[string]string{"'a'": "a", "''": "", "'it''s'": "it''s"} {
		if got, ok := Static(value); !ok || got != want {
			t.Errorf("%s: %q %v", value, got, ok)
		}
	}
	for _, value := range []string{"", "'", "context.requestId", "'open", "a'"} {
		if _, ok := Static(value); ok {
			t.Errorf("%s is no literal", value)
		}
	}
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"a": "1", "b": "${stageVariables.a}"}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "x${stageVariables.a}y": "x1y", "${stageVariables.a}${stageVariables.none}z": "1z",
		"${stageVariables.none}": "", "${stageVariables.b}": "${stageVariables.a}", "x${stageVariables.a": "x${stageVariables.a",
		"${stageVariables.a} ${stageVariables.a": "1 ${stageVariables.a", "${other.a}": "${other.a}",
	} {
		if got := Expand(text, vars); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestBinary(t *testing.T) {
	for _, c := range []struct {
		types []string
		value string
		want  bool
	}{
		{nil, "image/png", false},
		{[]string{"image/png"}, "image/png; q=1", true},
		{[]string{"image/png"}, "IMAGE/PNG", true},
		{[]string{"image/*"}, "image/png", true},
		{[]string{"image/*"}, "images/png", false},
		{[]string{"image/*"}, "image", false},
		{[]string{"*/*"}, "", true},
		{[]string{"application/json"}, "", true},
		{[]string{"image/png", "text/css"}, "text/csv", false},
	} {
		if got := Binary(c.types, c.value); got != c.want {
			t.Errorf("%v %q: %v", c.types, c.value, got)
		}
	}
}
