//! Tests of lists and their pages against a sorted list of everybody.

use super::*;
use crate::dice::Dice;

fn stake(tier: usize, lifecycle: Lifecycle, value_at_risk: f64) -> Stake {
    Stake {
        tier,
        lifecycle,
        value_at_risk,
        historic_minor: 0,
        predicted: None,
        p_alive: None,
        last_order_on: None,
        lapses_on: None,
        driver: None,
    }
}

/// Many of the same value, most of them in one tier.
fn everybody(dice: &mut Dice, n_customers: usize) -> Vec<(String, Stake)> {
    let mut below = |bound| usize::try_from(dice.below(bound)).unwrap();
    let mut one = |n: usize| {
        let tier = [0, 0, 0, 0, 1, 2][below(6)];
        let lifecycle = Lifecycle::ALL[below(6)];
        let value = f64::from(u32::try_from(below(300)).unwrap()) / 3.0;
        (format!("c{}", (n * 7919) % 100_003), stake(tier, lifecycle, value))
    };
    (0..n_customers).map(&mut one).collect()
}

fn list(everybody: &[(String, Stake)]) -> List {
    let mut list = List::new(3);
    for (id, stake) in everybody {
        list.offer(id, *stake);
    }
    list
}

/// The ids of all pages, and what the first one says is the total.
fn read(list: &List, of: &Selection, n_max: usize) -> (Vec<String>, u64) {
    let (mut ids, mut after) = (Vec::new(), None);
    let total = list.page(of, None, n_max).total;
    loop {
        let page = list.page(of, after.as_ref(), n_max);
        assert_eq!(page.total, total);
        assert!(page.customers.len() == n_max || page.next.is_none());
        ids.extend(page.customers.iter().map(|(place, _)| place.customer_id.to_string()));
        let Some(next) = page.next else { return (ids, total) };
        after = Some(Place::read(&next.text()).unwrap());
        assert_eq!(after.as_ref(), Some(next));
    }
}

#[test]
fn the_pages_of_every_selection_are_its_first_thousand_in_order() {
    let mut dice = Dice::new(11, 1);
    for n_customers in [0, 1, 40, 2_000, 30_000] {
        let everybody = everybody(&mut dice, n_customers);
        let list = list(&everybody);
        for tiers in [vec![], vec![0], vec![1, 2]] {
            for lifecycles in [vec![], vec![Lifecycle::AtRisk, Lifecycle::Declining]] {
                let of = Selection { tiers: tiers.clone(), lifecycles: lifecycles.clone() };
                let n_max = 1 + usize::try_from(dice.below(200)).unwrap();
                let (ids, total) = read(&list, &of, n_max);
                let mut expect: Vec<_> = everybody
                    .iter()
                    .filter(|(_, it)| tiers.is_empty() || tiers.contains(&it.tier))
                    .filter(|(_, it)| lifecycles.is_empty() || lifecycles.contains(&it.lifecycle))
                    .map(|(id, it)| (Estimate::of(-it.value_at_risk).unwrap(), id))
                    .collect();
                assert_eq!(usize::try_from(total).unwrap(), expect.len());
                expect.sort_by(|one, other| one.partial_cmp(other).unwrap());
                let expect: Vec<_> = expect.iter().take(LISTED_MAX).map(|(_, id)| *id).collect();
                assert!(ids.iter().eq(expect), "{n_customers} {of:?} {n_max}");
            }
        }
    }
}

#[test]
fn a_page_goes_on_in_a_later_list_though_its_customer_is_gone() {
    let mut customers: Vec<_> =
        (0..9).map(|n| (format!("c{n}"), stake(0, Lifecycle::New, 9.0 - f64::from(n)))).collect();
    let earlier = list(&customers);
    let next = earlier.page(&Selection::default(), None, 4).next;
    customers.remove(3);
    customers.push(("a".to_owned(), stake(0, Lifecycle::New, 8.5)));
    let later = list(&customers);
    let page = later.page(&Selection::default(), next, 4);
    let ids: Vec<_> = page.customers.iter().map(|(place, _)| &*place.customer_id).collect();
    assert_eq!((ids, page.next), (vec!["c4", "c5", "c6", "c7"], Some(page.customers[3].0)));
}

#[test]
fn ranks_are_in_the_order_of_values_descending() {
    let values = [f64::MAX, 12.5, 12.4, 1e-9, 0.0, -1e-9, -12.4, -12.5, f64::MIN];
    assert!(values.map(rank).is_sorted_by(|one, next| one < next));
}

#[test]
fn what_is_no_place_is_not_read() {
    let good = Place { rank: rank(12.5), customer_id: "ä".into() }.text();
    assert_eq!(good, "3fd6ffffffffffffc3a4");
    for text in
        ["", "3fd6", "3fd6fffffffffffg", good.strip_suffix('4').unwrap(), "3fd6ffffffffffffc3"]
    {
        assert_eq!(Place::read(text), None, "{text}");
    }
}
