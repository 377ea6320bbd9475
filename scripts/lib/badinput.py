def run(report, target, **how): pass
