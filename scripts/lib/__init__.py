"""What the scripts share: peers (other people's brokers and clients), brokers, readers, ledger, report, raw frames."""
