package conformance_test

func suppressPrograms() map[string]program { return map[string]program{} }
