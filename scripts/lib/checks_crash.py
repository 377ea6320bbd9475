def run(report, clients, target, label, **how): pass
