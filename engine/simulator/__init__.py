"""What an iteration takes, computed: from models' shapes and GPUs' data sheets, published fits, measured profiles."""
