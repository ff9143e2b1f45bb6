(** The greedy on instances that are given as numbers: what the comparison with the program runs. *)

From Coq Require Import List QArith ZArith.
From Aptsched Require Import Problem Greedy.
Import ListNotations.
Open Scope Z_scope.

(** The next k forms: for each, its weight and its value in eighths of a second. *)
Fixpoint read_request (k : nat) (numbers : list Z) : request * list Z :=
  match k, numbers with
  | S k, weight :: eighths :: numbers =>
    let (forms, rest) := read_request k numbers in (Form (Z.to_nat weight) (eighths # 8) :: forms, rest)
  | _, _ => ([], numbers)
  end.

Fixpoint read_requests (n k : nat) (numbers : list Z) : list request :=
  match n with
  | O => []
  | S n => let (r, rest) := read_request k numbers in r :: read_requests n k rest
  end.

(** Numbers: capacity, n, k, then all forms of all requests. The answer is the greedy's value, in lowest terms. *)
Definition objective (numbers : list Z) : Z * Z :=
  match numbers with
  | capacity :: n :: k :: numbers =>
    let rs := read_requests (Z.to_nat n) (Z.to_nat k) numbers in
    let value := Qred (value_of rs (greedy rs (Z.to_nat capacity))) in
    (Qnum value, Zpos (Qden value))
  | _ => (0, 0)
  end.
