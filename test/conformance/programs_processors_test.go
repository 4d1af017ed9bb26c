package conformance_test

func processorPrograms() map[string]program { return map[string]program{} }
