"""What an iteration takes, computed: from models' sizes and GPUs' data sheets, published fits, measured profiles."""
